"""Sparse compression: a spectrum in bands, each coarser than the one below it, and the spectrum back.

    bins     |  low  |      mid      |        high         |
                 │           │                  │                a convolution along the bins for each band:
                 │ ÷1        │ ÷4               │ ÷16            its stride is how sparse the band becomes
                 ▼           ▼                  ▼
             |  low  |  mid  | high |                            then residual convolutions along the frames,
                                                                 more of them where more is going on
The way up has transposed convolutions of the same strides.

Source   Tong et al., "SCNet: sparse compression network for music source separation", ICASSP 2024, section 2.
Weights  parameter names and shapes are those of the published checkpoints.
Differs  the published fusion gives its convolution the same features twice; here its weights are added up and
         the features given once, which is the same and costs half.

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a spectrum, and how it is compressed.

    Args:
        share: Of all bins; the last band has what the others leave.
        stride: By which its bins become fewer at each level.
        kernel_size: Of the convolution that does it; a multiple of the stride.
        depth: Residual convolutions along the frames behind it.
    """

    share: float
    stride: int
    kernel_size: int
    depth: int

    def compressed(self, bins: int) -> int:
        """How many of its bins a level leaves.

        >>> Band(share=0.4, stride=4, kernel_size=4, depth=2).compressed(803)
        201
        """
        return (bins + sum(self.padding(bins)) - self.kernel_size) // self.stride + 1

    def padding(self, bins: int) -> tuple[int, int]:
        """Zeros below and above the band that leave its convolution no remainder."""
        total = self.kernel_size - 1 if self.stride == 1 else -bins % self.stride
        return total // 2, total - total // 2


def split(bins: int, bands: Sequence[Band]) -> list[int]:
    """How many bins each band has.

    >>> split(2049, [Band(0.175, 1, 3, 3), Band(0.392, 4, 4, 2), Band(0.433, 16, 16, 1)])
    [359, 803, 887]
    """
    ends = [math.ceil(bins * share) for share in itertools.accumulate(band.share for band in bands[:-1])]
    return [end - begin for begin, end in itertools.pairwise([0, *ends, bins])]


class FrameConvolutions(nn.Module):
    """Residual convolutions along the frames, every bin by itself.

    Args:
        channels: In and out.
        depth: How many follow each other.
        compress: Factor by which channels become fewer within.
        kernel_size: In frames; odd.
    """

    def __init__(self, channels: int, depth: int, compress: int, kernel_size: int) -> None:
        super().__init__()
        hidden, edge = channels // compress, kernel_size // 2
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels),
                nn.Conv1d(channels, 2 * hidden, kernel_size, padding=edge),
                nn.GLU(1),
                nn.Conv1d(hidden, hidden, kernel_size, padding=edge, groups=hidden),
                nn.GroupNorm(1, hidden),
                nn.SiLU(),
                nn.Conv1d(hidden, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, same shape."""
        batch, channels, bins, frames = x.shape
        rows = x.transpose(1, 2).reshape(-1, channels, frames)  # (B·F, C, N)
        for layer in self.layers:
            rows = rows + layer(rows)
        return rows.view(batch, bins, channels, frames).transpose(1, 2)


class SparseDown(nn.Module):
    """The bands of a spectrum, each with fewer bins.

    Args:
        source: Channels in.
        target: Channels out.
        bands: From the lowest; `bins` is split among them.
        bins: Of the features.
    """

    def __init__(self, source: int, target: int, bands: Sequence[Band], bins: int) -> None:
        super().__init__()
        self.sizes = split(bins, bands)
        self.paddings = [band.padding(size) for band, size in zip(bands, self.sizes, strict=True)]
        self.convs = nn.ModuleList(
            nn.Conv2d(source, target, (band.kernel_size, 1), (band.stride, 1)) for band in bands
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features `(B, C, F, N)` to one tensor `(B, C', F', N)` a band."""
        parts = zip(self.convs, torch.split(x, self.sizes, dim=2), self.paddings, strict=True)
        return [conv(F.pad(part, (0, 0, *padding))) for conv, part, padding in parts]


class SparseUp(nn.Module):
    """The spectrum of bands that `SparseDown` made.

    Args:
        source: Channels in.
        target: Channels out.
        bands: From the lowest.
        bins: Of the result.
    """

    def __init__(self, source: int, target: int, bands: Sequence[Band], bins: int) -> None:
        super().__init__()
        self.sizes = split(bins, bands)
        self.compressed = [band.compressed(size) for band, size in zip(bands, self.sizes, strict=True)]
        self.convtrs = nn.ModuleList(
            nn.ConvTranspose2d(source, target, (band.kernel_size, 1), (band.stride, 1)) for band in bands
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F', N)` to `(B, C', F, N)`."""
        parts = zip(self.convtrs, torch.split(x, self.compressed, dim=2), self.sizes, strict=True)
        return torch.cat([_middle(conv(part), size) for conv, part, size in parts], dim=2)


def _middle(x: Tensor, bins: int) -> Tensor:
    """So many bins from the middle of `(B, C, F, N)`."""
    return x.narrow(2, (x.shape[2] - bins) // 2, bins)


class Encoder(nn.Module):
    """Compresses each band, hears along its frames, then hears all bands together.

    Args:
        source: Channels in.
        target: Channels out.
        bands: From the lowest.
        bins: Of the features.
        compress: Of the residual convolutions.
        kernel_size: Of these.
    """

    def __init__(
        self, source: int, target: int, bands: Sequence[Band], bins: int, *, compress: int, kernel_size: int
    ) -> None:
        super().__init__()
        self.SDlayer = SparseDown(source, target, bands, bins)
        self.conv_modules = nn.ModuleList(
            FrameConvolutions(target, band.depth, compress, kernel_size) for band in bands
        )
        self.globalconv = nn.Conv2d(target, target, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(B, C, F, N)` to those of the next level and of the skip, both `(B, C', F', N)`."""
        parts = zip(self.conv_modules, self.SDlayer(x), strict=True)
        skip = torch.cat([F.gelu(module(part)) for module, part in parts], dim=2)
        return self.globalconv(skip), skip


class Fusion(nn.Module):
    """Features from below and those of the skip, as one.

    Args:
        channels: Of both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Both `(B, C, F, N)`, same shape out."""
        first, second = self.conv.weight.chunk(2, dim=1)
        both = F.conv2d(x + skip, first + second, self.conv.bias, padding=1)
        return F.glu(both, dim=1)


class Decoder(nn.ModuleList):
    """The way up: fuses with the skip of its encoder, then gives each band its bins again.

    Args:
        source: Channels in.
        target: Channels out.
        bands: From the lowest.
        bins: Of the result.
    """

    def __init__(self, source: int, target: int, bands: Sequence[Band], bins: int) -> None:
        super().__init__([Fusion(source), SparseUp(source, target, bands, bins)])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Both `(B, C, F', N)`, to `(B, C', F, N)`."""
        fusion, up = self
        out: Tensor = up(fusion(x, skip))
        return out
