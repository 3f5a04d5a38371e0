"""The two generations of cascaded U-Nets that mask a picture of magnitudes, coarse guesses first.

    first      halves ─ two U-Nets ─┬─ bridge ─ U-Net ─┬─ bridge ─ U-Net ─ mask
               picture ─────────────┴──────────────────┘
    recurrent  halves ─ two U-Nets ─┬─ two U-Nets ─┬─ U-Net ─ mask
               picture ─────────────┴──────────────┘

The halves are the lower and the upper bins; each stage sees the picture and all guesses before it. At the
bottom of each U-Net a pyramid of dilated convolutions looks far; in the recurrent generation an LSTM over
frames looks from end to end.

Source   tsurumeso's vocal-remover, versions 4 and 5, without a paper; the pyramid is that of Chen et al.,
         "Encoder-decoder with atrous separable convolution for semantic image segmentation", ECCV 2018.
Weights  parameter names are those of the published checkpoints.
Differs  the published pyramid of the widest networks evaluates one convolution twice and reads both copies;
         here it is evaluated once. What earlier stages guess is a mask of its own in training alone, and not
         made here.

B batch · C channel, two of them · F bin · N frame · L bins of a level
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_DROPOUT = 0.1  # of whole channels behind a pyramid; as published
CHANNELS = 2  # of the picture


class NormedConvolution(nn.Module):
    """A convolution that keeps sizes but for its stride, a norm of the batch, and an activation.

    Args:
        inputs: Channels.
        outputs: Channels.
        kernel_size: Odd.
        stride: Over bins and frames.
        dilation: Over bins, and over frames.
        separable: Whether each channel is convolved by itself, and then all are mixed.
        leaky: Whether a hundredth of what is negative passes.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        dilation: tuple[int, int] = (1, 1),
        separable: bool = False,
        leaky: bool = False,
    ) -> None:
        super().__init__()
        padding = (kernel_size // 2 * dilation[0], kernel_size // 2 * dilation[1])
        spatial = nn.Conv2d(
            inputs,
            inputs if separable else outputs,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=inputs if separable else 1,
            bias=False,
        )
        mixing = [nn.Conv2d(inputs, outputs, 1, bias=False)] if separable else []
        activation = nn.LeakyReLU(inplace=True) if leaky else nn.ReLU(inplace=True)
        self.conv = nn.Sequential(spatial, *mixing, nn.BatchNorm2d(outputs), activation)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`; a stride leaves every so manieth of them."""
        y: Tensor = self.conv(x)
        return y


class Pyramid(nn.Module):
    """What is near, far and farther, and the mean over all bins, side by side.

    Args:
        inputs: Channels.
        inner: Channels of each view.
        outputs: Channels.
        dilations: Over bins and frames, of each convolution with a kernel of 3.
        separable: Whether these are.
        copies: How often the last view is read.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        *,
        dilations: Sequence[tuple[int, int]],
        separable: bool,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.copies = copies
        self.conv1 = nn.Sequential(nn.AdaptiveAvgPool2d((1, None)), NormedConvolution(inputs, inner, 1))
        self.conv2 = NormedConvolution(inputs, inner, 1)
        for number, dilation in enumerate(dilations, 3):
            view = NormedConvolution(inputs, inner, dilation=dilation, separable=separable)
            self.add_module(f"conv{number}", view)
        views = 1 + len(dilations) + copies
        mixed = NormedConvolution(views * inner, outputs, 1)
        # Names: the separable kind holds its dropout in a sequence with the convolution.
        self.bottleneck = nn.Sequential(mixed, nn.Dropout2d(_DROPOUT)) if separable else mixed
        self.dropout = nn.Identity() if separable else nn.Dropout2d(_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, as many bins and frames."""
        mean, *others = (
            view(x)
            for name, view in self.named_children()
            if name.startswith("conv")  # in their order
        )
        views = [mean.expand(-1, -1, x.shape[2], -1), *others, *others[-1:] * (self.copies - 1)]
        y: Tensor = self.dropout(self.bottleneck(torch.cat(views, 1)))
        return y


def _joined(x: Tensor, skip: Tensor) -> Tensor:
    """Features at twice as many bins and frames, with what the way down left at that level."""
    raised = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    return torch.cat([raised, skip], 1)


class Down(nn.Module):
    """Two convolutions, of which one halves bins and frames."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.conv1 = NormedConvolution(inputs, outputs, stride=2 if first else 1, leaky=True)
        self.conv2 = NormedConvolution(outputs, outputs, stride=1 if first else 2, leaky=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(B, C, F, N)` after one convolution, and after both."""
        between = self.conv1(x)
        return between, self.conv2(between)


class Up(nn.Module):
    """A convolution over features from below and beside; its name is of the generation."""

    def __init__(self, inputs: int, outputs: int, name: str) -> None:
        super().__init__()
        self.add_module(name, NormedConvolution(inputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features of this level from those below it and those beside it."""
        (convolution,) = self.children()
        y: Tensor = convolution(_joined(x, skip))
        return y


class FirstUNet(nn.Module):
    """A U-Net of the first generation: skips leave before the stride.

    Args:
        inputs: Channels.
        channels: Of the finest level and of the output; twice as many on each further one.
        levels: How often bins and frames are halved.
        views: Of the pyramid, 5 to 7.
    """

    def __init__(self, inputs: int, channels: int, levels: int, views: int) -> None:
        super().__init__()
        widths = [inputs, *(channels << level for level in range(levels + 1))]
        for level, (above, below) in enumerate(itertools.pairwise(widths[:-1]), 1):
            self.add_module(f"enc{level}", Down(above, below, first=False))
        dilations = [(step, step) for step in (4, 8, 16, 16)[: 3 if views == 5 else 4]]
        deepest = widths[levels]
        self.aspp = Pyramid(
            deepest,
            deepest,
            widths[levels + 1],
            dilations=dilations,
            separable=True,
            copies=2 if views == 7 else 1,
        )
        for level in range(levels, 0, -1):
            width = widths[level]
            self.add_module(f"dec{level}", Up(width + 2 * width, width, "conv"))
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, as many bins and frames, which are multiples of 2^levels."""
        skips = []
        for level in range(1, self.levels + 1):
            skip, x = cast("Down", self.get_submodule(f"enc{level}"))(x)
            skips.append(skip)
        x = self.aspp(x)
        for level in range(self.levels, 0, -1):
            x = self.get_submodule(f"dec{level}")(x, skips.pop())
        return x


class Recurrence(nn.Module):
    """One channel of features, in which each frame knows all others.

    Args:
        inputs: Channels.
        bins: Of the features.
        size: Of a frame's state, half for each direction.
    """

    def __init__(self, inputs: int, bins: int, size: int) -> None:
        super().__init__()
        self.conv = NormedConvolution(inputs, 1, 1)
        self.lstm = nn.LSTM(bins, size // 2, bidirectional=True)
        self.dense = nn.Sequential(nn.Linear(size, bins), nn.BatchNorm1d(bins), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """From features `(B, C, F, N)` to `(B, 1, F, N)`."""
        states, _ = self.lstm(self.conv(x)[:, 0].permute(2, 0, 1))  # (N, B, H)
        y: Tensor = self.dense(states.flatten(0, 1))  # (N · B, F)
        return y.view(*states.shape[:2], -1).permute(1, 2, 0)[:, None]


class RecurrentUNet(nn.Module):
    """A U-Net of the second generation: four levels, and an LSTM beside the second finest.

    Args:
        inputs: Channels.
        channels: Of the finest level and of the output.
        bins: Of the features; a multiple of 16.
        size: Of the recurrence.
    """

    _WIDTHS = (1, 2, 4, 6, 8)  # of each level, in channels
    _DILATIONS = ((4, 2), (8, 4), (12, 6))

    def __init__(self, inputs: int, channels: int, bins: int, size: int) -> None:
        super().__init__()
        widths = [channels * width for width in self._WIDTHS]
        self.enc1 = NormedConvolution(inputs, widths[0])
        for level, (above, below) in enumerate(itertools.pairwise(widths), 2):
            self.add_module(f"enc{level}", Down(above, below, first=True))
        deepest = widths[-1]
        self.aspp = Pyramid(deepest, deepest, deepest, dilations=self._DILATIONS, separable=False)
        for level in (4, 3, 2):
            above = widths[level - 1]
            self.add_module(f"dec{level}", Up(widths[level] + above, above, "conv1"))
        self.lstm_dec2 = Recurrence(widths[1], bins // 2, size)
        self.dec1 = Up(widths[1] + 1 + widths[0], widths[0], "conv1")

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, as many bins and frames, which are multiples of 16."""
        skips = [self.enc1(x)]
        for level in range(2, 6):
            skips.append(self.get_submodule(f"enc{level}")(skips[-1])[1])
        x = self.aspp(skips.pop())
        for level in (4, 3, 2):
            x = self.get_submodule(f"dec{level}")(x, skips.pop())
        y: Tensor = self.dec1(torch.cat([x, self.lstm_dec2(x)], 1), skips.pop())
        return y


class FirstCascade(nn.Module):
    """Three stages of four U-Nets: version 4.

    Args:
        channels: Of the first stage; the second has half as many at its start, the third twice as many.
        levels: Of each U-Net.
        views: Of each pyramid.
    """

    def __init__(self, channels: int, levels: int, views: int) -> None:
        super().__init__()
        half = channels // 2
        self.stg1_low_band_net = FirstUNet(CHANNELS, channels, levels, views)
        self.stg1_high_band_net = FirstUNet(CHANNELS, channels, levels, views)
        self.stg2_bridge = NormedConvolution(CHANNELS + channels, half, 1)
        self.stg2_full_band_net = FirstUNet(half, channels, levels, views)
        self.stg3_bridge = NormedConvolution(CHANNELS + 2 * channels, channels, 1)
        self.stg3_full_band_net = FirstUNet(channels, 2 * channels, levels, views)
        self.out = nn.Conv2d(2 * channels, CHANNELS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The mask of a picture `(B, C, F, N)`, same shape."""
        low, high = x.chunk(2, dim=2)
        first = torch.cat([self.stg1_low_band_net(low), self.stg1_high_band_net(high)], 2)
        second = self.stg2_full_band_net(self.stg2_bridge(torch.cat([x, first], 1)))
        third = self.stg3_full_band_net(self.stg3_bridge(torch.cat([x, first, second], 1)))
        return torch.sigmoid(self.out(third))


class RecurrentCascade(nn.Module):
    """Three stages of five U-Nets with recurrence: version 5, known as 5.1.

    Args:
        channels: Of the last stage; a multiple of 4.
        bins: Of the picture.
        size: Of each recurrence; that of the upper half has half as much.
    """

    def __init__(self, channels: int, bins: int, size: int) -> None:
        super().__init__()
        half, quarter, part = channels // 2, channels // 4, bins // 2
        self.stg1_low_band_net = nn.Sequential(
            RecurrentUNet(CHANNELS, half, part, size), NormedConvolution(half, quarter, 1)
        )
        self.stg1_high_band_net = RecurrentUNet(CHANNELS, quarter, part, size // 2)
        self.stg2_low_band_net = nn.Sequential(
            RecurrentUNet(CHANNELS + quarter, channels, part, size), NormedConvolution(channels, half, 1)
        )
        self.stg2_high_band_net = RecurrentUNet(CHANNELS + quarter, half, part, size // 2)
        self.stg3_full_band_net = RecurrentUNet(CHANNELS + quarter + half, channels, bins, size)
        self.out = nn.Conv2d(channels, CHANNELS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The mask of a picture `(B, C, F, N)`, same shape."""
        low, high = x.chunk(2, dim=2)
        first_low, first_high = self.stg1_low_band_net(low), self.stg1_high_band_net(high)
        second_low = self.stg2_low_band_net(torch.cat([low, first_low], 1))
        second_high = self.stg2_high_band_net(torch.cat([high, first_high], 1))
        first, second = torch.cat([first_low, first_high], 2), torch.cat([second_low, second_high], 2)
        third = self.stg3_full_band_net(torch.cat([x, first, second], 1))
        return torch.sigmoid(self.out(third))
