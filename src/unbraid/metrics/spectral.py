"""Distances between spectra: closer to the ear than energies are, and each with its own blind spots.

All take signals `(..., channels, time)`, look at all channels together and give one number for each leading
index. Spectra are as precise as the samples are, sums are in float64. NaN or infinity in a signal makes its
number NaN. Anti-phase stereo is stereo: no channels are summed. None but `log_wmse` sees the phase.

A channel that is silent in all signals is not neutral: where means are taken over places it adds places
without a difference, and in dB it stands at each signal's own floor. Leave it out where it says nothing.

Source   each function names its own; constants are those of the published programs, so that numbers compare.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from unbraid.dsp.bands import mel_filters
from unbraid.dsp.stft import Padding
from unbraid.errors import ShapeError
from unbraid.metrics.frames import Frames
from unbraid.metrics.ratios import same_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

# Yamamoto et al. 2020, table 1; also the defaults of auraloss.
_RESOLUTIONS = (Frames(1024, 120, 600), Frames(2048, 240, 1200), Frames(512, 50, 240))
_LEAST_MAGNITUDE = 1e-4  # auraloss clamps powers at 1e-8

# Music-Source-Separation-Training's.
_L1_FRAMES = Frames(2048, 1024, None)
_MEL_FRAMES = Frames(4096, 1024, 4096, Padding.ZERO)
_MEL_BANDS = 512
_MEL_LEAST = 1e-10
_MEL_RANGE_DB = 80.0

# logWMSE's.
_WMSE_SCALE = -4.0
_WMSE_LEAST = 1e-8
_WMSE_RATE = 44100  # of the filters behind its weights
_WMSE_TAIL = 4096  # samples until their response has died away


def multi_resolution_stft(reference: Tensor, estimate: Tensor) -> Tensor:
    """How far two spectrograms are apart, seen through windows of three lengths; 0 is equal, lower is better.

    At each resolution two terms are added: spectral convergence – the difference of the magnitudes by the
    reference's, in Euclidean norms over all channels, bins and frames – and the mean difference of the
    logarithms of the magnitudes. The mean of the three sums is returned. Frames of 1024, 2048 and 512 samples
    with Hann windows of 600, 1200 and 240 and hops of 120, 240 and 50; magnitudes are at least 1e-4.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Distances `(...)`, without unit. Finite for silence, where it is large unless the estimate is silent
        too. It grows where the reference is quiet: the logarithm takes silence as seriously as sound.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Yamamoto, Song, Kim, "Parallel WaveGAN", ICASSP 2020, with the defaults of auraloss 0.4.

    >>> tone = torch.sin(0.1 * torch.arange(4000.0)).view(1, -1)
    >>> multi_resolution_stft(tone, tone).item()
    0.0
    """
    same_shape(reference, estimate)
    distances = [_stft_distance(reference, estimate, frames) for frames in _RESOLUTIONS]
    return torch.stack(distances).mean(0)


def _stft_distance(reference: Tensor, estimate: Tensor, frames: Frames) -> Tensor:
    """Spectral convergence and mean log distance at one resolution."""
    apart = energy = logs = reference.new_zeros(reference.shape[:-2], dtype=torch.float64)
    count = 0
    for pair in _pairs(reference, estimate, frames):
        true, found = (magnitudes.clamp_min(_LEAST_MAGNITUDE) for magnitudes in pair)
        apart = apart + _sum((true - found).square())
        energy = energy + _sum(true.square())
        logs = logs + _sum((true / found).log().abs())
        count += math.prod(true.shape[-3:])
    return (apart / energy).sqrt() + logs / count


def l1_frequency(reference: Tensor, estimate: Tensor) -> Tensor:
    """How close two magnitude spectrograms are, from 0 to 100; higher is better.

    It is 100 / (1 + 10 d), where d is the mean absolute difference of the magnitudes of frames of 2048
    samples, 1024 apart, without a window. d grows with the level: the same separation scores higher on a
    quieter song, and a quiet stem higher than a loud one.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Scores `(...)`; 100 for equal magnitudes, also for silence against silence.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        `l1_freq` of Music-Source-Separation-Training.

    >>> tone = torch.sin(0.1 * torch.arange(4000.0)).view(1, -1)
    >>> l1_frequency(tone, -tone).item()
    100.0
    """
    same_shape(reference, estimate)
    total = reference.new_zeros(reference.shape[:-2], dtype=torch.float64)
    count = 0
    for true, found in _pairs(reference, estimate, _L1_FRAMES):
        total = total + _sum((true - found).abs())
        count += math.prod(true.shape[-3:])
    return 100 / (1 + 10 * total / count)


def bleedless(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """How little there is that should not be there, from 0 to 100; higher is better.

    Both spectrograms are summed into 512 mel bands and put in dB, no lower than 80 dB below their own
    loudest value. It is 100 / (1 + d), where d is the mean of the differences in dB over those places only
    where the estimate is louder. `fullness` is its counterpart; either alone is easily won, by silence or
    by giving back the mixture.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.
        sample_rate: In Hz; published numbers are of 44100.

    Returns:
        Scores `(...)`; 100 where the estimate is nowhere louder. A silent reference makes it almost 0 for
        any sound.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        `bleedless` of Music-Source-Separation-Training.

    >>> tone = torch.sin(0.1 * torch.arange(8000.0)).view(1, -1)
    >>> round(bleedless(tone, 10 ** (1 / 20) * tone, 44100).item(), 2)     # 1 dB too loud
    50.0
    """
    same_shape(reference, estimate)
    return 100 / (1 + _mean_excess(reference, estimate, sample_rate))


def fullness(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """How little is missing, from 0 to 100; higher is better.

    As `bleedless`, with the mean over those places where the estimate is quieter.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.
        sample_rate: In Hz; published numbers are of 44100.

    Returns:
        Scores `(...)`; 100 where the estimate is nowhere quieter, as against a silent reference.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        `fullness` of Music-Source-Separation-Training.

    >>> tone = torch.sin(0.1 * torch.arange(8000.0)).view(1, -1)
    >>> round(fullness(tone, 10 ** (-1 / 20) * tone, 44100).item(), 2)     # 1 dB too quiet
    50.0
    """
    same_shape(reference, estimate)
    return 100 / (1 + _mean_excess(estimate, reference, sample_rate))


def _mean_excess(lower: Tensor, upper: Tensor, sample_rate: int) -> Tensor:
    """By how many dB `upper` is louder, over the places where it is; 0 where it never is."""
    excess = (_mel_decibels(upper, sample_rate) - _mel_decibels(lower, sample_rate)).clamp_min(0)
    return _sum(excess) / _sum(excess > 0).clamp_min(1)


def _mel_decibels(samples: Tensor, sample_rate: int) -> Tensor:
    """Mel spectrogram in dB, `(..., channels, bands, frames)`."""
    filters = mel_filters(sample_rate, _MEL_FRAMES.n_fft, _MEL_BANDS).to(samples.device)
    sparse = filters.to_sparse()  # a bin stands in two bands at most
    blocks = []
    for block in _MEL_FRAMES.magnitudes(samples):
        columns = block.movedim(-2, 0)  # (bins, ..., channels, frames)
        bands = sparse.to(block.dtype) @ columns.flatten(1)
        blocks.append(bands.view(-1, *columns.shape[1:]).movedim(0, -2))
    decibels = 20 * torch.cat(blocks, -1).clamp_min(_MEL_LEAST).log10()
    return torch.maximum(decibels, decibels.amax((-3, -2, -1), keepdim=True) - _MEL_RANGE_DB)


def log_wmse(reference: Tensor, estimate: Tensor, mixture: Tensor, sample_rate: int) -> Tensor:
    """How faint the error is to the ear, beside the mixture, on a logarithmic scale; higher is better.

    Error and mixture are weighted by a filter that hears as people do: little below 120 Hz and above 10 kHz,
    most around 3 kHz. With e the energy of the weighted error of a channel by that of the mixture, the score
    is −4 ln(e + 1e-8), averaged over the channels. Because the mixture is the yardstick, silent references
    are scored like any other: what matters is how much of the mixture is still heard.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.
        mixture: What was separated, `(channels, time)` or as the reference.
        sample_rate: In Hz. At rates other than 44100 every frequency keeps the weight it has there, and what
            is above 22050 Hz does not count.

    Returns:
        Scores `(...)`, without unit: 73.7 for a perfect estimate, 18.4 for an error 20 dB below the mixture,
        0 for one as loud. The energy of a channel of the mixture is at least 1e-16 per sample: where it is
        silent, sound in the estimate gives a large negative score.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Jordal (Nomono), log-wmse-audio-quality, in the form of Landschoot's torch-log-wmse 1.1: the energies
        are of the whole filtered signals, and no error is too faint to count.

    >>> mixture = torch.sin(0.1 * torch.arange(4000.0)).view(1, -1)
    >>> round(log_wmse(torch.zeros(1, 4000), 0.1 * mixture, mixture, 44100).item(), 2)
    18.42
    """
    same_shape(reference, estimate)
    if mixture.shape not in {reference.shape, reference.shape[-2:]}:
        raise ShapeError(
            f"the mixture is {tuple(mixture.shape)} and the reference {tuple(reference.shape)}; the mixture "
            f"must be {tuple(reference.shape[-2:])} or have the reference's shape"
        )
    heard = _heard_energies(reference.shape[-1], sample_rate)
    pairs = zip(reference.flatten(0, -2), estimate.flatten(0, -2), strict=True)
    error = torch.stack([heard(true.double() - found.double()) for true, found in pairs])
    whole = torch.stack([heard(channel.double()) for channel in mixture.flatten(0, -2)])
    least = _WMSE_LEAST**2 * max(1, reference.shape[-1])
    share = error.view(reference.shape[:-1]) / whole.view(mixture.shape[:-1]).clamp_min(least)
    return _WMSE_SCALE * (share + _WMSE_LEAST).log().mean(-1)


def _heard_energies(length: int, sample_rate: int) -> Callable[[Tensor], Tensor]:
    """What gives the energy that a channel has behind the filter, by Parseval's theorem."""
    step = 1 << 14  # transforms of a multiple of it are fast
    n_fft = -(-(length + _WMSE_TAIL) // step) * step
    weights = _hearing(torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft).square()
    weights[1:-1] *= 2  # the negative frequencies

    def energy(channel: Tensor) -> Tensor:
        power = torch.fft.rfft(channel, n_fft).abs().square()
        heard: Tensor = power @ weights.to(channel.device)
        return heard / n_fft

    return energy


def _hearing(hertz: Tensor) -> Tensor:
    """Gain of the published weighting at some frequencies; 0 above half of 44100 Hz.

    A high shelf (+5 dB above 1500 Hz, Q 1/√2), a peak (+2.5 dB at 500 Hz, Q 1.5/√2), a Butterworth high-pass
    of second order at 120 Hz and one low-pass of first order at 10 kHz, applied forth and back.

    Source: the recipe in log-wmse-audio-quality; Bristow-Johnson, "Cookbook formulae for audio EQ biquad
    filter coefficients", 1998, for shelf and peak.
    """
    # The bilinear transform puts a frequency f at tan(π f / rate) on the analogue filters' axis.
    place = (math.pi * hertz / _WMSE_RATE).tan()

    def over(corner_hz: float) -> Tensor:
        return place / math.tan(math.pi * corner_hz / _WMSE_RATE)

    x, root = over(1500), 10 ** (5 / 80)
    damping = 1j * root * math.sqrt(2) * x
    shelf = root**2 * ((1 - root**2 * x**2 + damping) / (root**2 - x**2 + damping)).abs()
    x, root = over(500), 10 ** (2.5 / 40)
    width = 1j * math.sqrt(2) / 1.5 * x
    peak = ((1 - x**2 + width * root) / (1 - x**2 + width / root)).abs()
    high_pass = over(120) ** 2 / (1 + over(120) ** 4).sqrt()
    low_pass = 1 / (1 + over(10_000) ** 2)
    return torch.where(hertz <= _WMSE_RATE / 2, shelf * peak * high_pass * low_pass, 0.0)


def _sum(values: Tensor) -> Tensor:
    """Over channels, bins or bands, and frames."""
    return values.sum((-3, -2, -1), dtype=torch.float64)


def _pairs(reference: Tensor, estimate: Tensor, frames: Frames) -> Iterator[tuple[Tensor, Tensor]]:
    """Magnitudes of both, block by block."""
    return zip(frames.magnitudes(reference), frames.magnitudes(estimate), strict=True)
