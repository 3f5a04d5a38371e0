"""Alignment: streams that arrive at different speeds, given as far as the slowest is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


class Alignment:
    """Holds back what some of several streams have too early."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] | None = None

    def push(self, new: Iterable[Tensor]) -> list[Tensor]:
        """The next of each stream, `(..., n)`, in; what all of them have now, of each, out: `(..., m)`."""
        fresh = list(new)
        have = fresh
        if self._waiting is not None:
            have = [torch.cat([old, more], -1) for old, more in zip(self._waiting, fresh, strict=True)]
        ready = min(stream.shape[-1] for stream in have)
        # Copies, so that a few samples never keep a whole block alive.
        self._waiting = [stream[..., ready:].clone() for stream in have]
        return [stream[..., :ready] for stream in have]
