"""Norms and learned scales.

B batch · C channel · T time · R row · N token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.split import as_graph

if TYPE_CHECKING:
    from torch import Tensor


_PIECE = 512  # values that a graph adds up one by one


class LayerScale(nn.Module):
    """Adds a residual branch, each channel at its own learned gain: `x + scale · branch`.

    A small first gain lets a deep network begin as nearly the identity.

    Args:
        channels: How many gains.
        init: What each begins with.
        channels_last: Whether channels are the last axis, as for tokens `(B, N, C)`, or the second,
            as for signals `(B, C, T)`.

    Source: Touvron et al., "Going deeper with image transformers", ICCV 2021.
    """

    def __init__(self, channels: int, init: float, *, channels_last: bool = False) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.scale = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """`x` plus the scaled `branch`, both of one shape."""
        return torch.addcmul(x, branch, self.scale if self.channels_last else beside(self.scale, x))


class TokenNorm(nn.Module):
    """Normalises all tokens of an item by one mean and one deviation, then scales each channel.

    It is a group norm of a single group whose channels are the last axis, so tokens stay in place:
    two passes over memory and no transposed copy.

    Args:
        channels: Size of the last axis.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, normalised over N and C together."""
        variance, mean = variance_and_mean(tokens, channels=2)
        gain = self.weight * (variance + self.eps).rsqrt()  # (B, 1, C)
        return torch.addcmul(self.bias - mean * gain, tokens, gain)


class SignalNorm(nn.GroupNorm):
    """A group norm of a single group, for signals `(B, C, T)`, that stays exact in a graph.

    Args:
        channels: How many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, T)`, or in a graph each row of `(B, C, R, T)` on its own; same shape."""
        if not as_graph():
            return super().forward(x)
        variance, mean = variance_and_mean(x)
        gain = beside(self.weight, x) * (variance + self.eps).rsqrt()
        return x * gain + (beside(self.bias, x) - mean * gain)


def beside(channels: Tensor, x: Tensor) -> Tensor:
    """A value for each channel `(C,)`, to be taken with signals `(B, C, T)` or rows `(B, C, R, T)`."""
    return channels.view(-1, *[1] * (x.ndim - 2))


def variance_and_mean(x: Tensor, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Of each item of `(B, C, T)` or `(B, N, C)`, or each row of `(B, C, R, T)`, over channels and time.

    PyTorch adds millions of values up in a tree. Runtimes of graphs add one by one, and lose three digits:
    for them there is a mean of means, over channels and then over pieces of a few hundred values.

    Args:
        x: Of which; rows in a graph only.
        channels: Their axis.

    Returns:
        `(B, 1, 1)` each, of rows `(B, 1, R, 1)`.
    """
    if not as_graph():
        return torch.var_mean(x, dim=(1, 2), correction=0, keepdim=True)
    mean = mean_of_means(x, channels)
    return mean_of_means((x - mean).square(), channels), mean


def mean_of_means(x: Tensor, channels: int = 1) -> Tensor:
    """The mean of `variance_and_mean`, for graphs."""
    along = x.mean(channels)  # (B, T), or (B, R, T)
    count = along.shape[-1]
    piece = next((size for size in range(min(count, _PIECE), 0, -1) if count % size == 0), 1)
    return torch.unflatten(along, -1, (-1, piece)).mean(-1).mean(-1)[:, None][..., None]


class RMSNorm(nn.Module):
    """Brings every token to a root mean square of one, then scales each channel.

    Args:
        channels: Size of the last axis.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019; silence stays silence.
    """

    # Published networks divide by the length of a token, at least this.
    _LEAST_LENGTH = 1e-12

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(..., C)`, same shape; in half precision, too, lengths are measured in float32."""
        channels = len(self.gamma)
        eps = self._LEAST_LENGTH**2 / channels
        return root_mean_square_one(tokens, self.gamma, eps)


def root_mean_square_one(x: Tensor, gains: Tensor, eps: float) -> Tensor:
    """Features on the last axis at a root mean square of 1, times a gain each; measured in float32 at least.

    Args:
        x: `(..., D)`.
        gains: `(D,)`; in half precision taken in that of `x`, for the fused kernel wants both alike.
        eps: Added to the mean square.

    Returns:
        Same shape as `x`.
    """
    gains = gains.to(x.dtype)
    if not as_graph():
        return F.rms_norm(x, gains.shape, gains, eps)
    # Written out: runtimes of graphs have had such an operation for a short time only.
    power = x.to(torch.promote_types(x.dtype, torch.float32)).square().mean(-1, keepdim=True)
    return x * (power + eps).rsqrt().to(x.dtype) * gains
