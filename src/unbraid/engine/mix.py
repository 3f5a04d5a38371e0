"""Mixes: how the estimates of several flows become one; all in which shifts and ensembles differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import torch

from unbraid.dsp.stft import Stft
from unbraid.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Rule(str, Enum):
    """What one value is made of several."""

    MEAN = "mean"
    MEDIAN = "median"  # of an even number the mean of the two in the middle
    MIN = "min"  # the one that is nearest to zero: what all agree on
    MAX = "max"  # the one that is farthest from zero: whatever any of them heard

    def combine(self, values: Tensor, weights: Sequence[float]) -> Tensor:
        """One value of several.

        Args:
            values: `(flows, ...)`, real or complex; of complex numbers the least and the greatest are those
                of magnitude, and the median is that of both parts.
            weights: Of the mean, positive.

        Returns:
            `(...)`.

        >>> Rule.MIN.combine(torch.tensor([-3.0, 2.0]), [1, 1])
        tensor(2.)
        """
        if len(values) == 1:
            return values[0]
        if self is Rule.MEAN:
            total = sum(value * weight for value, weight in zip(values, weights, strict=True))
            return torch.as_tensor(total / sum(weights))
        if self is Rule.MEDIAN:
            return _median(values)
        size = values.abs()
        chosen = size.argmin(0) if self is Rule.MIN else size.argmax(0)
        return values.gather(0, chosen[None])[0]


def _median(values: Tensor) -> Tensor:
    parts = torch.view_as_real(values) if values.is_complex() else values
    middle = (len(parts) - 1) // 2
    both = parts.sort(0).values[middle : len(parts) - middle]
    median = both.mean(0)
    return torch.view_as_complex(median) if values.is_complex() else median


class Domain(str, Enum):
    """Where values are compared."""

    WAVEFORM = "waveform"  # sample by sample
    SPECTRUM = "spectrum"  # bin by bin of a short-time Fourier transform


class Mix(Protocol):
    """Makes one stream of estimates from several that are equally far."""

    def push(self, estimates: Sequence[Tensor], /) -> Tensor:
        """`(Sᵢ, C, n)` of each flow in, `(S, C, m)` out, `m ≥ 0`."""

    def finish(self, estimates: Sequence[Tensor], /) -> Tensor:
        """The last estimates in, `(S, C, m)` out: all that was not given yet."""


class Mean:
    """The mean of flows that all have the same sources."""

    def push(self, estimates: Sequence[Tensor], /) -> Tensor:
        """`(S, C, n)` of each flow in, `(S, C, n)` out."""
        # In float64, so that equal values stay exactly equal.
        total = estimates[0].double()
        for more in estimates[1:]:
            total = total + more
        return (total / len(estimates)).float()

    finish = push  # nothing is kept back


class WeightedSum:
    """The sum of flows, each with a factor.

    Args:
        factors: Of each flow; −1 takes it away.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        self._factors = tuple(factors)

    def push(self, estimates: Sequence[Tensor], /) -> Tensor:
        """`(S, C, n)` of each flow in, `(S, C, n)` out."""
        terms = [flow.double() * factor for flow, factor in zip(estimates, self._factors, strict=True)]
        return torch.stack(terms).sum(0).float()

    finish = push  # nothing is kept back


@dataclass(frozen=True, slots=True)
class Voice:
    """One flow's say in one source.

    Args:
        flow: Which flow.
        row: Which of its sources.
        weight: How much it counts where a mean is taken; positive.
    """

    flow: int
    row: int
    weight: float


class VoiceMix:
    """Each source from the flows that have a say in it, by one rule.

    Args:
        voices: For each source, in order, who has a say in it.
        rule: What becomes of their estimates.
        domain: Where the rule is applied.

    Raises:
        PlanError: If nobody has a say in a source.
    """

    def __init__(
        self, voices: Mapping[str, Sequence[Voice]], rule: Rule = Rule.MEAN, domain: Domain = Domain.WAVEFORM
    ) -> None:
        silent = [source for source, heard in voices.items() if not heard]
        if silent or not voices:
            raise PlanError(
                f"an ensemble must make some sources; of {', '.join(silent) or 'none'} it has no model"
            )
        self._voices = tuple(voices.values())
        self._rule = rule
        # The mean is the same in both domains: the transform is linear.
        spectral = domain is Domain.SPECTRUM and rule is not Rule.MEAN
        self._spectra = [_Spectral(rule) for _ in self._voices] if spectral else None

    def push(self, estimates: Sequence[Tensor], /) -> Tensor:
        """`(Sᵢ, C, n)` of each flow in, `(S, C, m)` out."""
        heard = [
            torch.stack([estimates[voice.flow][voice.row].double() for voice in voices])
            for voices in self._voices
        ]
        if self._spectra:
            mixed = [spectral.push(values) for spectral, values in zip(self._spectra, heard, strict=True)]
        else:
            mixed = [
                self._rule.combine(values, [voice.weight for voice in voices])
                for values, voices in zip(heard, self._voices, strict=True)
            ]
        return torch.stack(mixed).float()

    def finish(self, estimates: Sequence[Tensor], /) -> Tensor:
        """The last estimates in, `(S, C, m)` out: all that was not given yet."""
        mixed = self.push(estimates)
        if not self._spectra:
            return mixed
        kept = torch.stack([spectral.finish() for spectral in self._spectra]).float()
        return torch.cat([mixed, kept], -1)


class _Spectral:
    """A rule applied to each bin, on signals that come in blocks.

    Frames of 2048 samples every 1024, the first centred on the first sample; the customary grid of ensembles
    of separators. Two frames reach each sample.
    """

    _STFT = Stft(2048, 1024, centred=False)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        hop = self._STFT.hop_length
        window = torch.hann_window(self._STFT.n_fft, dtype=torch.float64)
        self._window = window
        self._weight = window[:hop].square() + window[hop:].square()
        self._waiting = 0  # samples that have come and not gone
        self._held: Tensor | None = None  # (flows, C, n): what later frames still need
        self._late: Tensor | None = None  # (C, 1, hop): the second half of the last frame

    def push(self, values: Tensor) -> Tensor:
        """`(flows, C, n)` in, `(C, m)` out."""
        hop = self._STFT.hop_length
        if self._held is None:  # silence before the first sample, as half of the first frame
            self._held = values.new_zeros(*values.shape[:-1], hop)
        self._held = torch.cat([self._held, values], -1)
        self._waiting += values.shape[-1]
        count = self._held.shape[-1] // hop - 1  # frames that are whole
        if count < 1:
            return values.new_zeros(values.shape[1], 0)
        finished = self._frames(self._held[..., : (count + 1) * hop])
        self._held = self._held[..., count * hop :].clone()
        self._waiting -= finished.shape[-1]
        return finished

    def finish(self) -> Tensor:
        """The rest, `(C, m)`; silence follows the last sample."""
        if self._held is None:
            return torch.zeros(0, 0)
        left = self._waiting
        silence = self._held.new_zeros(*self._held.shape[:-1], self._STFT.n_fft)
        return self.push(silence)[..., :left]

    def _frames(self, values: Tensor) -> Tensor:
        """Whole hops of the result that these samples complete."""
        hop = self._STFT.hop_length
        spectra = self._STFT(values)  # (flows, C, F, N)
        mixed = self._rule.combine(spectra, [])
        frames = torch.fft.irfft(mixed.transpose(-1, -2), self._STFT.n_fft) * self._window  # (C, N, n_fft)
        early, late = frames[..., :hop], frames[..., hop:]
        # The first half of the very first frame lies before the first sample.
        before = late[:, :0] if self._late is None else self._late
        self._late = late[:, -1:].clone()
        ends = torch.cat([before, late[:, :-1]], 1)
        whole: Tensor = (early[:, early.shape[1] - ends.shape[1] :] + ends) / self._weight
        return whole.flatten(1)
