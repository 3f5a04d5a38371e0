"""BSSEval v4: four ratios for each second of each source, after filters have explained what they can.

An estimate is taken apart into signals that add up to it:

    estimate = reference + spatial distortion + interference + artefacts
               ╰──────────── own ───────────╯
               ╰─────────────────── every ─────────────────╯

`own` is what filters make of the source itself, `every` what they make of all sources. There is one set of
filters for the track. Each frame is filtered as if there were silence around it, and counts with the tail
that the filters leave behind it.

Source   Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation", TASLP 14(4),
         2006; Liutkus, Stöter, Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018. Frames,
         tails and what is not scored are those of museval 0.4.1.
Differs  museval takes a signal for silent where its channels cancel each other; here this is a choice.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from unbraid.errors import NonFiniteAudioError, ShapeError, UsageError
from unbraid.metrics.projection import cut, projector
from unbraid.metrics.workers import spread

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.metrics.projection import Projector

Silence = Literal["energy", "museval"]

_LOOK = 1 << 18  # samples that are looked at together for silence and NaN
_LOUDEST = 1e100  # what float64 can still square and add up


@dataclass(frozen=True, slots=True, eq=False)
class BssEval:
    """Ratios in dB for each source and frame, each `(sources, frames)` in float64; higher is better.

    `nan` stands where a frame was not scored, `inf` where nothing is wrong.

    Args:
        sdr: Source to distortion: the source against all that is wrong.
        isr: Image to spatial distortion: the source against what filters made of it.
        sir: Source to interference: the filtered source against the other sources.
        sar: Sources to artefacts: all filtered sources against what no source explains.
    """

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """Estimates taken apart; the four signals add up to them. Each is `(sources, channels, time)`, float64.

    Args:
        target: The reference itself.
        spatial: What filters add to it: another tone, level or place.
        interference: What filters make of the other sources.
        artefacts: What filters can make of no source.
    """

    target: Tensor
    spatial: Tensor
    interference: Tensor
    artefacts: Tensor


def bsseval(
    references: Tensor,
    estimates: Tensor,
    sample_rate: int,
    *,
    window: float = 1.0,
    hop: float = 1.0,
    taps: int = 512,
    images: bool = True,
    silence: Silence = "energy",
) -> BssEval:
    """How good estimates are, second by second, as the field's tables score them: BSSEval v4.

    A frame in which any reference or estimate is silent is `nan` for all sources, since a ratio to nothing
    says nothing. What is left of the track behind the last whole frame is not scored; a track shorter than a
    frame is one frame. A silent channel is no silent source. Tensors may be memory-mapped: they are read in
    pieces, twice.

    Where references lack a band down to the rounding of floats, filters are undetermined there: SDR is exact,
    the other three are arbitrary, in museval as well. References of 16 bits have noise enough.

    Args:
        references: True sources, `(sources, channels, time)`.
        estimates: Separated sources in the same order, same shape.
        sample_rate: In Hz.
        window: Length of a frame in seconds; `math.inf` for one frame, the whole track.
        hop: Seconds between the starts of two frames.
        taps: Length of the forgiving filters in samples.
        images: Whether the reference is the target, as in every published v4 score. Otherwise it is the
            filtered reference (`bss_eval_sources`), and `isr` is `nan`.
        silence: "energy": all samples are zero. "museval": channels add up to zero in all samples, so that
            a stereo signal whose left is minus its right counts as silent, and takes its frame from all
            sources. Published scores are of this kind.

    Returns:
        Four ratios for each source and frame.

    Raises:
        ShapeError: If shapes differ, are not `(sources, channels, time)`, or hold nothing.
        UsageError: If a source is silent from end to end, or a length is not positive.
        NonFiniteAudioError: If there is NaN or infinity, with its place.

    Source:
        Liutkus, Stöter, Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018.

    >>> generator = torch.Generator().manual_seed(0)
    >>> references = torch.randn(2, 1, 8000, generator=generator)
    >>> quieter = bsseval(references, 0.9 * references, 8000, taps=8)
    >>> [round(value, 2) for value in (*quieter.sdr[0].tolist(), *quieter.isr[0].tolist())]
    [20.0, 20.0]
    """
    frames = _frames(references.shape[-1], window * sample_rate, hop * sample_rate)
    _check(references, estimates, taps, silence)
    filters = projector(references, estimates, taps)

    def score(frame: range) -> Tensor:
        if any(silent_sources(signals, silence, frame).any() for signals in (references, estimates)):
            return torch.full((4, len(references)), math.nan, dtype=torch.float64)
        return _ratios(filters, references, estimates, frame, images=images)

    return BssEval(*torch.stack(spread(score, frames), -1))


def decompose(references: Tensor, estimates: Tensor, *, taps: int = 512) -> Decomposition:
    """Estimates taken apart into source, spatial distortion, interference and artefacts, to listen to.

    These are the signals whose energies `bsseval` compares, with one frame over the whole track, but for the
    tail that filters leave behind its end. A silent source is its own target; its estimate is all
    interference and artefacts.

    Args:
        references: True sources, `(sources, channels, time)`.
        estimates: Separated sources in the same order, same shape.
        taps: Length of the filters in samples.

    Returns:
        Four signals for each source.

    Raises:
        ShapeError: If shapes differ, are not `(sources, channels, time)`, or hold nothing.
        UsageError: If `taps` is not positive.
        NonFiniteAudioError: If there is NaN or infinity, with its place.

    Source:
        Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation", TASLP, 2006.

    >>> references = torch.eye(4).view(2, 1, 8)
    >>> parts = decompose(references, references + 0.5 * references.flip(0), taps=1)
    >>> torch.allclose(parts.interference, 0.5 * references.flip(0).double())
    True
    """
    _check(references, estimates, taps, None)
    everything = range(references.shape[-1])
    target, estimate = (cut(signals, everything, everything) for signals in (references, estimates))
    own, every = torch.empty_like(target), torch.empty_like(target)
    for piece, _, *parts in projector(references, estimates, taps).pieces(references, everything):
        at = slice(piece.start, min(piece.stop, len(everything)))
        for whole, part in zip((own, every), parts, strict=True):
            whole[..., at] = part[..., : at.stop - at.start]
    return Decomposition(target, own - target, every - own, estimate - every)


def _frames(length: int, window: float, hop: float) -> list[range]:
    """Samples of each frame, all of them whole; lengths in samples are rounded down."""
    if not (window >= 1 and hop >= 1):
        raise UsageError(
            f"frames of {window:g} samples every {hop:g} samples were asked for; both must be at least 1"
        )
    if window >= length:
        return [range(length)]
    size, step = int(window), length if math.isinf(hop) else int(hop)
    return [range(start, start + size) for start in range(0, length - size + 1, step)]


def _check(references: Tensor, estimates: Tensor, taps: int, silence: Silence | None) -> None:
    """Refuse what has no answer: other shapes, NaN, and, unless it is None, silence from end to end."""
    if references.shape != estimates.shape or references.ndim != 3 or not references.numel():
        raise ShapeError(
            f"the references are {tuple(references.shape)} and the estimates {tuple(estimates.shape)}; both "
            "must be (sources, channels, time) and alike, so cut or pad the estimates to the references"
        )
    if taps < 1:
        raise UsageError(f"filters of {taps} samples were asked for; they must have at least 1")
    for name, signals in (("reference", references), ("estimate", estimates)):
        _check_finite(signals, name)
        silent = silent_sources(signals, silence) if silence else torch.zeros(1)
        if silent.any():
            raise UsageError(
                f"{name} {int(silent.nonzero()[0])} is silent from end to end (silence={silence!r}); a ratio "
                "to nothing says nothing, so leave that source out of references and estimates"
            )


def _check_finite(signals: Tensor, name: str) -> None:
    """Name the first sample that is no number, or too great a one."""
    for start in range(0, signals.shape[-1], _LOOK):
        block = signals[..., start : start + _LOOK]
        if not block.abs().amax() < _LOUDEST:
            at, channel, source = (~(block.abs() < _LOUDEST)).permute(2, 1, 0).nonzero()[0].tolist()
            raise NonFiniteAudioError(
                f"{name} {source} has {block[source, channel, at].item()} in channel {channel} at sample "
                f"{start + at}; every sample must be a number, full scale ±1"
            )


def silent_sources(signals: Tensor, silence: Silence = "energy", span: range | None = None) -> Tensor:
    """Which sources are silent.

    Args:
        signals: `(sources, channels, time)`.
        silence: As in `bsseval`.
        span: Samples that are looked at; None: all of them.

    Returns:
        Yes or no for each source, `(sources,)`.

    >>> antiphase = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    >>> silent_sources(antiphase).item(), silent_sources(antiphase, "museval").item()
    (False, True)
    """
    span = range(signals.shape[-1]) if span is None else span
    silent = torch.ones(len(signals), dtype=torch.bool)
    for start in range(span.start, span.stop, _LOOK):
        block = signals[..., start : min(start + _LOOK, span.stop)]
        heard = block if silence == "energy" else block.sum(1, keepdim=True, dtype=torch.float64)
        silent &= (heard.abs().amax((1, 2)) == 0).cpu()
    return silent


def _ratios(
    filters: Projector, references: Tensor, estimates: Tensor, frame: range, *, images: bool
) -> Tensor:
    """SDR, ISR, SIR and SAR of one frame, `(4, sources)`."""
    energies = torch.zeros(7, len(references), dtype=torch.float64)
    for piece, true, own, every in filters.pieces(references, frame):
        target, estimate = true if images else own, cut(estimates, piece, frame)
        wrong = ((estimate, target), (own, target), (every, own), (estimate, every))
        parts = (target, own, every), (one - other for one, other in wrong)
        energies += torch.stack([_energy(part) for part in itertools.chain(*parts)])
    above, below = energies[[0, 0, 1, 2]], energies[3:]
    if not images:
        above[1] = math.nan
    return torch.where((below == 0) & ~above.isnan(), math.inf, 10 * (above / below).log10())


def _energy(part: Tensor) -> Tensor:
    """Of each source of `(sources, channels, time)`, `(sources,)`."""
    flat = part.flatten(1)
    return torch.bmm(flat.unsqueeze(1), flat.unsqueeze(2)).flatten()  # no array of squares
