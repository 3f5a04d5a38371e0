"""Pieces of signals that overlap by half."""

from __future__ import annotations

import torch
from torch import Tensor


def half_overlapping(x: Tensor, width: int) -> Tensor:
    """Pieces of a signal, each beginning in the middle of the one before; a rest at the end is dropped.

    What `unfold` would do, which readers of graphs do not take.

    Args:
        x: `(..., T)`, T at least the width.
        width: Of a piece; even.

    Returns:
        `(..., K, width)`, a copy.
    """
    half = width // 2
    halves = torch.unflatten(x[..., : x.shape[-1] // half * half], -1, (-1, half))
    return torch.cat([halves[..., :-1, :], halves[..., 1:, :]], dim=-1)
