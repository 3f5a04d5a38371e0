"""Norms and learned scales.

B batch · C channel · N token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


class LayerScale(nn.Module):
    """Adds a residual branch, each channel at its own learned gain: `x + scale · branch`.

    A small first gain lets a deep network begin as nearly the identity.

    Args:
        channels: How many gains.
        init: What each begins with.
        channels_last: Whether channels are the last axis, as for tokens `(B, N, C)`, or the one before
            it, as for signals `(B, C, T)`.

    Source: Touvron et al., "Going deeper with image transformers", ICCV 2021.
    """

    def __init__(self, channels: int, init: float, *, channels_last: bool = False) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.scale = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """`x` plus the scaled `branch`, both of one shape."""
        scale = self.scale if self.channels_last else self.scale[:, None]
        return torch.addcmul(x, branch, scale)


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
        variance, mean = torch.var_mean(tokens, dim=(1, 2), correction=0, keepdim=True)
        gain = self.weight * (variance + self.eps).rsqrt()  # (B, 1, C)
        return torch.addcmul(self.bias - mean * gain, tokens, gain)


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
        return F.rms_norm(tokens, (channels,), self.gamma.to(tokens.dtype), eps)
