"""Estimates projected on filtered references: what BSSEval calls target, interference and artefacts.

    own     the part of an estimate that filters of `taps` samples can make of its own source
    every   the part that they can make of all sources together

The filters are those of least squares over the whole track. They follow from correlations alone, which are
summed over blocks; what the filters make of a stretch is worked out in pieces. So memory grows with sources,
channels and taps, not with time.

Source: Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation", TASLP 14(4),
2006; Liutkus, Stöter, Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018.

S source · C channel · T time · F bin · K source and channel, S × C of them · L tap
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.metrics.toeplitz import solve
from unbraid.metrics.workers import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_SHORTEST_FFT = 2048  # samples; of 2048 to 8192, the quickest for eight channels
_PIECES = 4  # that are worked on together; 6 and 8 were no quicker


@dataclass(frozen=True, slots=True, eq=False)
class Projector:
    """Filters from references to estimates, ready to be applied to any stretch of the track.

    Args:
        own: Spectra of filters to the channels of each estimate from those of its source, `(F, S, C, C)`.
        every: Spectra of filters to all estimates from all references, `(F, K, K)`.
        taps: Length of the filters in samples.
    """

    own: Tensor
    every: Tensor
    taps: int

    def pieces(self, references: Tensor, span: range) -> Iterator[tuple[range, Tensor, Tensor, Tensor]]:
        """What filtering makes of a stretch of the references, with nothing before and behind it.

        Args:
            references: `(S, C, T)`.
            span: Samples of the stretch.

        Yields:
            Samples of a piece, what it holds of the references, and the projections on its own source and on
            all, each `(S, C, piece)` in float64. Pieces follow each other without a gap, to `taps - 1`
            samples behind the stretch, where the filters ring out.
        """
        tail, n_fft = self.taps - 1, _n_fft(self.taps)
        step, stop = n_fft - tail, span.stop + tail
        sources, channels, _ = references.shape
        for start in range(span.start, stop, _PIECES * step):
            pieces = min(_PIECES, math.ceil((stop - start) / step))
            heard = cut(references, range(start - tail, start + pieces * step), span)
            spectra = _bins_first(torch.fft.rfft(heard.flatten(0, 1).unfold(-1, n_fft, step)))
            own = (self.own @ spectra.view(-1, sources, channels, pieces)).flatten(1, 2)
            made = (torch.fft.irfft(_bins_last(each), n_fft) for each in (own, self.every @ spectra))
            outcomes = (each[..., tail:].reshape(sources, channels, -1) for each in made)
            piece = range(start, min(start + pieces * step, stop))
            yield piece, *(each[..., : len(piece)] for each in (heard[..., tail:], *outcomes))


def projector(references: Tensor, estimates: Tensor, taps: int) -> Projector:
    """The filters that come closest to the estimates over the whole track.

    Args:
        references: `(S, C, T)`, finite.
        estimates: `(S, C, T)`, finite.
        taps: Length of the filters in samples.

    Returns:
        The filters, in float64.
    """
    sources, channels, _ = references.shape
    everything = slice(sources * channels)
    of_a_source = [slice(first, first + channels) for first in range(0, everything.stop, channels)]
    lags = _correlations(references, estimates, taps)  # (K, 2 K, L)
    among, towards = lags[:, everything], lags[:, everything.stop :]
    *own, every = spread(lambda at: solve(among[at, at], towards[at, at]), [*of_a_source, everything])
    filters = (torch.fft.rfft(each, _n_fft(taps)) for each in (torch.stack(own), every))
    own_spectra, every_spectra = (each.movedim(-1, 0).mT.contiguous() for each in filters)
    return Projector(own_spectra, every_spectra, taps)


def cut(signals: Tensor, span: range, within: range) -> Tensor:
    """A stretch of signals in float64 on the CPU, with zeros where it reaches out of a wider one.

    Args:
        signals: `(..., time)`, on any device; gradients are not followed.
        span: Samples wanted.
        within: Samples that may be taken; they must exist.

    Returns:
        `(..., len(span))`.
    """
    start, stop = max(span.start, within.start), min(span.stop, within.stop)
    there = signals.detach()[..., start : max(start, stop)]
    if there.shape[-1] == len(span):
        return there.to("cpu", torch.float64)
    taken = torch.zeros(*signals.shape[:-1], len(span), dtype=torch.float64)
    if there.shape[-1]:
        taken[..., start - span.start : stop - span.start] = there
    return taken


def _n_fft(taps: int) -> int:
    """A power of two, long enough that the tail of a filter is a small part of it."""
    return max(_SHORTEST_FFT, 1 << (4 * taps - 1).bit_length())


def _correlations(references: Tensor, estimates: Tensor, taps: int) -> Tensor:
    """How alike references are to references, then to estimates, that come up to `taps - 1` samples later.

    Entry `(i, j, l)` is the sum over n of reference i at n times signal j at n + l, `(K, 2 K, L)`.
    """
    everything = range(references.shape[-1])
    n_fft = _n_fft(taps)
    step = n_fft - taps + 1
    count = references.shape[0] * references.shape[1]

    def summed(starts: range) -> Tensor:
        total = torch.zeros(n_fft // 2 + 1, count, 2 * count, dtype=torch.complex128)
        for start in starts:
            span = range(start, start + _PIECES * step + taps - 1)
            signals = torch.cat([cut(each, span, everything) for each in (references, estimates)])
            later = signals.flatten(0, 1).unfold(-1, n_fft, step)  # (2 K, piece, n_fft)
            now = later[:count, :, :step].flip(-1)  # a convolution backwards is a correlation
            total.baddbmm_(_bins_first(torch.fft.rfft(now, n_fft)), _bins_first(torch.fft.rfft(later)).mT)
        return total

    starts = range(0, len(everything), _PIECES * step)
    threads = torch.get_num_threads()
    totals = spread(summed, [starts[first::threads] for first in range(min(threads, len(starts)))])
    lags: Tensor = torch.fft.irfft(torch.stack(totals).sum(0).permute(1, 2, 0), n_fft)
    return lags[..., step - 1 :]


def _bins_first(spectra: Tensor) -> Tensor:
    """`(K, piece, F)` as `(F, K, piece)`, a matrix for each bin."""
    count, pieces, bins = spectra.shape
    return spectra.reshape(-1, bins).mT.contiguous().view(bins, count, pieces)


def _bins_last(matrices: Tensor) -> Tensor:
    """`(F, K, piece)` as `(K, piece, F)`. With but two axes, torch is quick to transpose."""
    bins, count, pieces = matrices.shape
    return matrices.view(bins, -1).mT.contiguous().view(count, pieces, bins)
