"""Positions as angles: where a query and a key stand tells them apart by how far they have been turned.

Angles are counted in float32 at least: bfloat16 cannot count beyond 256.

R row · H head · N token · D channel within a head
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_BASE = 10_000.0


class _Angles(nn.Module):
    """Angles that grow with the position, each at its own pace; the paces never lose precision.

    They are stored with the weights, as published networks do, but no training changes them.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Angles:
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch does not type it
        for name, exact in before.items():
            moved = getattr(self, name)
            if moved.dtype in {torch.float16, torch.bfloat16}:
                setattr(self, name, exact.to(moved.device))
        return self


def _counted(length: int, paces: Tensor) -> Tensor:
    """Angles `(N, paces)` of the positions 0, 1, …, in float32 at least."""
    paces = paces.to(torch.promote_types(paces.dtype, torch.float32))
    return torch.arange(length, dtype=paces.dtype, device=paces.device)[:, None] * paces


class RotaryEmbedding(_Angles):
    """Turns pairs of neighbouring channels of queries and keys: their product sees the distance alone.

    Args:
        channels: Of a head; even.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """

    freqs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", _BASE ** -(torch.arange(0, channels, 2) / channels))

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys `(R, H, N, D)`, each turned by its position; same shapes."""
        angles = _counted(query.shape[-2], self.freqs)  # (N, D / 2)
        cosine, sine = angles.cos(), angles.sin()
        return _turned(query, cosine, sine), _turned(key, cosine, sine)


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    pairs = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1)
    return pairs.flatten(-2).to(x.dtype)


class PolarEmbedding(_Angles):
    """Splits what and where: a channel's content is a length, its position alone the angle.

    The score of a query and a key is `Σ softplus(q) · softplus(k) · cos(distance · pace + bias)` over the
    channels.

    Args:
        channels: Of a head.
        heads: Each has biases of its own.

    Source: Gopalakrishnan et al., "Decoupling the what and where with polar coordinate positional
    embeddings", 2025.
    """

    inv_freqs: Tensor

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.register_buffer("inv_freqs", _BASE ** -(torch.arange(channels) / channels))
        self.bias = nn.Parameter(torch.zeros(heads, channels))

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys `(R, H, N, D)` as coordinates `(R, H, N, 2D)`."""
        angles = _counted(query.shape[-2], self.inv_freqs)  # (N, D)
        bias = self.bias.to(angles.dtype).clamp(-2 * math.pi, 0)
        return _polar(query, angles), _polar(key, angles + bias[:, None, :])


def _polar(x: Tensor, angles: Tensor) -> Tensor:
    length = F.softplus(x.to(angles.dtype))
    return torch.cat([length * angles.cos(), length * angles.sin()], dim=-1).to(x.dtype)
