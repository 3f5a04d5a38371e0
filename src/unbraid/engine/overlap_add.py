"""The accumulator: weighted sums of overlapping cores, and which samples are finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class OverlapAdd:
    """Adds up cores that start one stride apart and gives back what no later core can change.

    Sums are kept in float64: dividing the weighted sum of equal float32 values by the sum of their weights
    then gives exactly that value, so an identity network returns its input to the sample.

    Args:
        weights: Makes the first so many of a core's weights, `(n,)`, float64, positive.
        stride: Samples between the starts of two cores, at most a core.
    """

    def __init__(self, weights: Callable[[int], Tensor], stride: int) -> None:
        self._weigh = weights
        self._weights = weights(0)
        self._stride = stride
        self._sums: Tensor | None = None  # (S, C, n), from the start of the next core on
        self._totals = self._weights

    def add(self, estimate: Tensor) -> Tensor:
        """Add the next core and take out what is finished.

        Args:
            estimate: `(sources, channels, time)`; shorter than a core only at the end of the track.

        Returns:
            `(sources, channels, m)` in float32, `m` being a stride or what is left of the track.
        """
        length = estimate.shape[-1]
        if length > len(self._weights):  # a core may be an hour, and the track a minute
            self._weights = self._weigh(length)
        sums, totals = self._weights[:length] * estimate, self._weights[:length].clone()
        if self._sums is not None:  # what is held never reaches beyond the end of the next core
            held = self._sums.shape[-1]
            sums[..., :held] += self._sums
            totals[:held] += self._totals
        done = (sums[..., : self._stride] / totals[: self._stride]).float()
        self._sums, self._totals = sums[..., self._stride :].clone(), totals[self._stride :].clone()
        return done

    def rest(self, length: int) -> Tensor:
        """What the cores so far say of the next samples, `(S, C, length)`, if no other core follows."""
        assert self._sums is not None  # noqa: S101 - a core came before
        return (self._sums[..., :length] / self._totals[:length]).float()
