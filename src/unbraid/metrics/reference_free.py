"""What can be said of a separation without the true sources: symptoms, not scores.

A good separation leaves nothing behind, keeps its sources from moving together more than the music does, and
reaches as high as the mixture. All of that is also true of some bad ones: none of these numbers ranks models.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.dsp.bands import mel_filters
from unbraid.errors import NonFiniteAudioError
from unbraid.metrics.frames import Frames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.audio import Audio
    from unbraid.estimates import Estimates

_FRAMES = Frames(2048, 1024, 2048)
_BANDS = 24  # as many as the ear has critical bands
_RANGE_DB = 60.0  # fainter than this below its loudest, a source counts as silent
_EDGE_DBFS = -110.0  # the rounding noise of 16 bits puts -126 into each bin
_NOTHING = 1e-300


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What one estimate shows.

    Args:
        level_db: Its energy by the mixture's; `-inf` for silence.
        band_edge_hz: The highest frequency that is stronger than -110 dB of full scale on average, which is
            more than the noise of 16 bits; 0 for silence and for less than 2048 samples. The edge of a loud
            pure tone is up to 1 kHz too high at 44100 Hz: the window smears it.
        peak_dbfs: Its highest sample; `-inf` for silence.
        over_full_scale: Samples beyond ±1, which a file of integers would clip.
    """

    level_db: float
    band_edge_hz: float
    peak_dbfs: float
    over_full_scale: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What a separation shows.

    Args:
        residual_db: Energy of the mixture minus the sum of the estimates, by the mixture's; `-inf` if nothing
            is left.
        mixture_band_edge_hz: How high the mixture reaches: an estimate that ends well below it was cut by
            its model.
        sources: Each estimate's own symptoms.
        leakage: For each two sources how alike their loudness moves, from -1 to 1: in each of 24 mel bands
            the correlation over time of the envelopes in dB, and the mean over the bands in which both
            change; `nan` if there are none. True sources of one song may well reach 0.4, because they play
            together: compare models on one song.
    """

    residual_db: float
    mixture_band_edge_hz: float
    sources: Mapping[str, Symptoms]
    leakage: Mapping[str, Mapping[str, float]]


def examine(mixture: Audio, estimates: Estimates) -> Examination:
    """What a separation shows without the true sources: what is left, what leaks, what is cut off.

    Energies are summed over all channels: one silent channel or anti-phase stereo change nothing. A silent
    mixture has no level to compare with: levels in dB by it are `nan` or `inf`.

    Args:
        mixture: The recording that was separated.
        estimates: What became of it.

    Returns:
        Levels, band edges, peaks and leakage.

    Raises:
        ShapeError: If rate, channels or length differ.
        NonFiniteAudioError: If the mixture or an estimate holds NaN or infinity.

    Source:
        What is left is the null test of mixing engineers; the other symptoms are defined here.

    >>> import torch
    >>> from unbraid import Audio, Estimates
    >>> noise = torch.randn(2, 1, 8000, generator=torch.Generator().manual_seed(0))
    >>> mixture = Audio(noise.sum(0), 8000)
    >>> found = examine(mixture, Estimates(0.9 * noise, ("vocals", "drums"), 8000))
    >>> round(found.residual_db, 2)
    -20.0
    """
    _finite("mixture", mixture)
    for name, audio in estimates.items():
        _finite(name, audio)
    residual = estimates.residual(mixture)
    whole = _energy(mixture)
    edge, _ = _portrait(mixture)
    portraits = {name: _portrait(audio) for name, audio in estimates.items()}
    return Examination(
        residual_db=_decibels(_energy(residual), whole),
        mixture_band_edge_hz=edge,
        sources={
            name: Symptoms(
                _decibels(_energy(audio), whole),
                portraits[name][0],
                2 * _decibels(_peak(audio), 1.0),
                int((audio.samples.abs() > 1).sum()),
            )
            for name, audio in estimates.items()
        },
        leakage=_leakage({name: envelopes for name, (_, envelopes) in portraits.items()}),
    )


def _leakage(envelopes: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Every pair, both ways round."""
    pairs: dict[str, dict[str, float]] = {name: {} for name in envelopes}
    for one, other in itertools.combinations(envelopes, 2):
        pairs[one][other] = pairs[other][one] = _correlation(envelopes[one], envelopes[other])
    return pairs


def _correlation(one: Tensor, other: Tensor) -> float:
    """Mean over the bands of the correlation over time of two `(bands, frames)` in dB."""
    one, other = one - one.mean(-1, keepdim=True), other - other.mean(-1, keepdim=True)
    norms = one.norm(dim=-1) * other.norm(dim=-1)
    change = norms > 1e-6
    return float(((one * other).sum(-1)[change] / norms[change]).mean())


def _portrait(audio: Audio) -> tuple[float, Tensor]:
    """Band edge in Hz, and envelopes `(bands, frames)` in dB with a floor 60 dB below the loudest."""
    filters = mel_filters(audio.sample_rate, _FRAMES.n_fft, _BANDS)
    total = torch.zeros(_FRAMES.n_fft // 2 + 1, dtype=torch.float64)
    power = total[:, None]
    bands: list[Tensor] = []
    for block in _FRAMES.magnitudes(audio.samples.cpu()):
        power = block.double().square().sum(0)
        total += power.sum(-1)
        if not bands:
            total -= power[:, 0]  # what mirrors the edges has a kink there, and a kink has all frequencies
        bands.append(filters @ power)
    total -= power[:, -1]
    envelopes = 10 * torch.cat(bands, -1).clamp_min(_NOTHING).log10()
    whole_frames = max(1, envelopes.shape[-1] - 2)
    full_scale = (_FRAMES.n_fft / 4) ** 2  # power of a sine from -1 to 1 under a Hann window
    heard = total > 10 ** (_EDGE_DBFS / 10) * full_scale * whole_frames * audio.channels
    highest = int(heard.nonzero()[-1]) if heard.any() else 0
    return highest * audio.sample_rate / _FRAMES.n_fft, envelopes.clamp_min(envelopes.max() - _RANGE_DB)


def _finite(name: str, audio: Audio) -> None:
    # The sum of finite samples in float64 is finite; looking at each sample is left for when it is not.
    if not math.isfinite(audio.samples.sum(dtype=torch.float64).item()):
        at = (~audio.samples.isfinite()).any(0).nonzero()[0].item()
        raise NonFiniteAudioError(
            f"{name} holds NaN or infinity at {at / audio.sample_rate:.3f} s; repair it, or leave it out"
        )


def _energy(audio: Audio) -> float:
    return audio.samples.double().square().sum().item()


def _peak(audio: Audio) -> float:
    return audio.samples.abs().max().item() if audio.length else 0.0


def _decibels(energy: float, whole: float) -> float:
    """10 lg of a ratio, with infinities and NaN instead of errors."""
    ratio = torch.tensor(energy, dtype=torch.float64) / whole
    return float(10 * ratio.log10())
