"""The accumulator: weighted sums of overlapping cores, and which samples are finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class OverlapAdd:
    """Adds up cores that start one stride apart and gives back what no later core can change.

    Sums are kept in float64: dividing the weighted sum of equal float32 values by the sum of their weights
    then gives exactly that value, so an identity network returns its input to the sample.

    Args:
        weights: Of a core's samples, `(core,)`, float64, positive.
        stride: Samples between the starts of two cores, at most `core`.
    """

    def __init__(self, weights: Tensor, stride: int) -> None:
        self._weights = weights
        self._stride = stride
        self._sums: Tensor | None = None  # (S, C, core), from the start of the next core on
        self._totals = torch.zeros_like(weights)

    def add(self, estimate: Tensor) -> Tensor:
        """Add the next core and take out what is finished.

        Args:
            estimate: `(sources, channels, time)`; shorter than a core only at the end of the track.

        Returns:
            `(sources, channels, m)` in float32, `m` being a stride or what is left of the track.
        """
        length = estimate.shape[-1]
        if self._sums is None:
            self._sums = torch.zeros(*estimate.shape[:-1], len(self._weights), dtype=torch.float64)
        self._sums[..., :length] += self._weights[:length] * estimate
        self._totals[:length] += self._weights[:length]
        finished = min(self._stride, length)
        done = (self._sums[..., :finished] / self._totals[:finished]).float()
        self._advance()
        return done

    def _advance(self) -> None:
        """Move on by one stride: what was finished leaves, silence enters at the end."""
        for buffer in (self._sums, self._totals):
            assert buffer is not None  # noqa: S101 - both exist once something was added
            kept = buffer[..., self._stride :].clone()
            buffer.zero_()
            buffer[..., : kept.shape[-1]] = kept
