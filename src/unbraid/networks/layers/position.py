"""Sinusoidal positions: where a token stands, as a vector it can be compared by.

Computed when needed: an angle per position and channel costs nothing beside the attention that
follows, so there is no table to store, move or outgrow.

Source: Vaswani et al., "Attention is all you need", 2017.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_PERIOD = 10_000.0  # of the slowest sinusoid, over 2π positions


def sinusoids(length: int, channels: int, like: Tensor) -> Tensor:
    """Positions on a line: cosines in the first half of the channels, sines in the second.

    The k-th of K angles is `position / 10000^(k / (K − 1))`.

    Args:
        length: How many positions.
        channels: Even, at least 4.
        like: A tensor of the wanted device and precision; below float32 angles are rounded at the end only.

    Returns:
        `(length, channels)`.
    """
    position, index = _ranges(length, channels // 2, like)
    angle = position[:, None] / _PERIOD ** (index / (channels // 2 - 1))
    return torch.cat([angle.cos(), angle.sin()], dim=-1).to(like.dtype)


def sinusoids_2d(frames: int, bins: int, channels: int, like: Tensor) -> Tensor:
    """Positions on a grid: the first half of the channels says the frame, the second half the bin.

    In each half sines and cosines alternate; the j-th pair of a half of size h turns by `10000^(−2j / h)`
    a position.

    Args:
        frames: Positions in time.
        bins: Positions in frequency.
        channels: A multiple of 4.
        like: As in `sinusoids`.

    Returns:
        `(frames, bins, channels)`.
    """
    half = channels // 2
    time = _alternating(frames, half, like)[:, None, :].expand(-1, bins, -1)
    frequency = _alternating(bins, half, like)[None, :, :].expand(frames, -1, -1)
    return torch.cat([time, frequency], dim=-1).to(like.dtype)


def _alternating(length: int, channels: int, like: Tensor) -> Tensor:
    """Sine, cosine, sine, … of falling frequencies, `(length, channels)`."""
    position, index = _ranges(length, channels // 2, like)
    angle = position[:, None] * torch.exp(2 * index * -(math.log(_PERIOD) / channels))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def _ranges(length: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """0, 1, … below `length` and below `count`, in at least float32: bfloat16 cannot count beyond 256."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    position = torch.arange(length, dtype=dtype, device=like.device)
    return position, torch.arange(count, dtype=dtype, device=like.device)
