"""Time-frequency convolutions, then a full layer across all frequencies: the block of TFC-TDF networks.

    x ─ 3×3 ─ 3×3 ─ 3×3 ─┬────────────────── + ─
                         └─ F→F/8 ─ F/8→F ───┘

Convolutions see what is near; harmonics of one note are far apart, and only the full layer hears them as one.

Source   Choi, Kim, Chung, Lee, Jung, "Investigating U-Nets with various intermediate blocks for
         spectrogram-based singing voice separation", ISMIR 2020.
Weights  parameter names and shapes are those of the published checkpoints, whose kernels have frames before
         bins.
Differs  bins come before frames and channels last in memory, so that the full layer is one product of
         matrices and nothing has to be transposed; a norm that has learnt all is folded into the convolution
         before it.

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

import itertools
from enum import Enum
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    Convolution = nn.Conv2d | nn.ConvTranspose2d

_GROUPS = 2  # of a group norm; as published


class Norm(str, Enum):
    """What makes features of one size."""

    BATCH = "batch"  # each channel over all examples; in evaluation by what training has seen
    GROUP = "group"  # each half of the channels over one example

    def module(self, channels: int) -> nn.Module:
        """The norm of features with so many channels."""
        return nn.BatchNorm2d(channels) if self is Norm.BATCH else nn.GroupNorm(_GROUPS, channels)


class NormedConvolution(nn.Sequential):
    """A convolution, a norm, and what of the result is positive.

    Args:
        layer: An `nn.Conv2d` or `nn.ConvTranspose2d`; its kernel has frames before bins.
        norm: Of its result.
    """

    def __init__(self, layer: Convolution, norm: nn.Module) -> None:
        super().__init__(layer, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, as many bins and frames as the convolution makes of them."""
        layer, norm = cast("Convolution", self[0]), self[1]
        if isinstance(norm, nn.BatchNorm2d) and not self.training:
            return F.relu(_convolved(layer, x, *_folded(layer, norm)), inplace=True)
        return F.relu(norm(_convolved(layer, x, layer.weight, layer.bias)), inplace=True)


def _convolved(layer: Convolution, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A layer's convolution with these weights, whose frames come before their bins."""
    weight = weight.transpose(-1, -2)
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, layer.stride)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def _folded(layer: Convolution, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A layer's weight and bias with the norm behind it multiplied in; in float32 at least, then rounded."""
    weight = layer.weight
    exact = torch.promote_types(weight.dtype, torch.float32)
    mean, variance, bias = (
        _rounded(cast("Tensor", value), exact) for value in (norm.running_mean, norm.running_var, layer.bias)
    )
    gain = _rounded(norm.weight, exact) * (variance + norm.eps).rsqrt()
    shift = _rounded(norm.bias, exact) + (bias - mean) * gain
    channels = (1, -1, 1, 1) if isinstance(layer, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    scaled = _rounded(weight, exact) * gain.view(channels)
    return _rounded(scaled, weight.dtype), _rounded(shift, weight.dtype)


def _rounded(value: Tensor, dtype: torch.dtype) -> Tensor:
    """A value in a precision; itself if it is in it, without a step that a traced graph would keep."""
    return value if value.dtype == dtype else value.to(dtype)


class FullLayers(nn.Sequential):
    """Each bin from all bins, channel by channel and frame by frame; a norm and a ReLU behind each layer.

    Args:
        channels: Of the features.
        bins: Of the features.
        bottleneck: Factor by which bins become fewer between two layers; 0: a single layer.
        norm: Which norm.
        bias: Whether layers have one.
    """

    def __init__(self, channels: int, bins: int, bottleneck: int, norm: Norm, *, bias: bool) -> None:
        sizes = [bins, bins // bottleneck, bins] if bottleneck else [bins, bins]
        parts: list[nn.Module] = []
        for source, target in itertools.pairwise(sizes):
            parts += [nn.Linear(source, target, bias=bias), norm.module(channels), nn.ReLU(inplace=True)]
        super().__init__(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, same shape."""
        for part in self:
            x = _across_bins(part, x) if isinstance(part, nn.Linear) else part(x)
        return x


def _across_bins(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer from F to F' bins, on features `(B, C, F, N)`."""
    rows = x.permute(0, 2, 3, 1).flatten(2)  # (B, F, N·C), which is how they lie in memory
    # Of a matrix and a batch, matmul would transpose the batch twice.
    rows = torch.bmm(layer.weight.expand(len(x), -1, -1), rows)
    if layer.bias is not None:
        rows = rows + layer.bias[:, None]
    return rows.view(len(x), -1, x.shape[3], x.shape[1]).permute(0, 3, 1, 2)


class Convolutions(nn.Module):
    """Convolutions that keep all sizes, one behind the other.

    Args:
        channels: Of the features.
        count: How many convolutions.
        kernel_size: Of each, over bins and over frames; odd.
        norm: Which norm.
    """

    def __init__(self, channels: int, count: int, kernel_size: int, norm: Norm) -> None:
        super().__init__()
        self.H = nn.ModuleList(
            NormedConvolution(
                nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2), norm.module(channels)
            )
            for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, same shape."""
        for convolution in self.H:
            x = convolution(x)
        return x


class TfcTdf(nn.Module):
    """Convolutions, and what full layers across all bins add to them.

    Args:
        channels: Of the features.
        bins: Of the features.
        convolutions: How many.
        kernel_size: Of each; odd.
        bottleneck: Of the full layers; 0: a single one, None: there are none.
        norm: Which norm.
        bias: Whether full layers have one.
    """

    def __init__(
        self,
        channels: int,
        bins: int,
        *,
        convolutions: int,
        kernel_size: int,
        bottleneck: int | None,
        norm: Norm,
        bias: bool,
    ) -> None:
        super().__init__()
        self.tfc = Convolutions(channels, convolutions, kernel_size, norm)
        self.tdf = None
        if bottleneck is not None:
            self.tdf = FullLayers(channels, bins, bottleneck, norm, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, same shape."""
        x = self.tfc(x)
        return x if self.tdf is None else x + self.tdf(x)
