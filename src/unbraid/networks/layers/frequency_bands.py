"""Hybrid levels whose weights differ from one frequency band to the next.

Bands are cut where the strides of all levels agree, so that equal weights in all bands make one plain level.

Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, section 3 (published code).

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.hybrid_levels import Decoder, Encoder, Level

if TYPE_CHECKING:
    from torch import Tensor


def encoder_bands(ratios: tuple[float, ...], bins: int, stride: int) -> list[slice]:
    """Which of the bins that an encoder makes belong to each band: near a part of those it sees.

    Args:
        ratios: Where bands end, as parts of all bins.
        bins: How many the encoder sees.
        stride: By which it shortens them; half its kernel.

    >>> encoder_bands((0.1, 0.3), 2048, 4)
    [slice(0, 51, None), slice(51, 153, None), slice(153, 512, None)]
    """
    kernel, margin = 2 * stride, stride // 2
    bounds = [0]
    for ratio in ratios:
        seen = round(bins * ratio) + margin - bounds[-1] * stride
        bounds.append(bounds[-1] + round((seen - kernel) / stride + 1))
    return _slices([*bounds, bins // stride])


def decoder_bands(ratios: tuple[float, ...], bins: int) -> list[slice]:
    """Which of the bins that a decoder sees belong to each band.

    >>> decoder_bands((0.1, 0.3), 512)
    [slice(0, 51, None), slice(51, 154, None), slice(154, 512, None)]
    """
    return _slices([0, *(round(bins * ratio) for ratio in ratios), bins])


def _slices(bounds: list[int]) -> list[slice]:
    return [slice(low, high) for low, high in itertools.pairwise(bounds)]


class BandedEncoder(nn.Module):
    """An encoder with weights of their own for each frequency band, which equal ones would make one encoder.

    Args:
        source: Channels in.
        target: Channels out.
        level: Its sizes; without norms.
        ratios: Where bands end, as parts of all bins.
    """

    def __init__(self, source: int, target: int, level: Level, ratios: tuple[float, ...]) -> None:
        super().__init__()
        self.level = level
        self.ratios = ratios
        inner = dataclasses.replace(level, margin=0)
        self.layers = nn.ModuleList(Encoder(source, target, inner) for _ in range(len(ratios) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Features with F divided by the stride."""
        stride, overlap = self.level.stride, self.level.kernel - self.level.stride
        bands = encoder_bands(self.ratios, x.shape[2], stride)
        x = F.pad(x, (0, 0, self.level.margin, self.level.margin))
        parts = [
            layer(x[:, :, band.start * stride : band.stop * stride + overlap])
            for layer, band in zip(self.layers, bands, strict=True)
        ]
        return torch.cat(parts, dim=2)


class BandedDecoder(nn.Module):
    """A decoder with weights of their own for each frequency band.

    Transposed convolutions of neighbouring bands overlap by a stride, where they are added; the bias there
    is that of the lower band.

    Args:
        source: Channels in.
        target: Channels out.
        level: Its sizes; without norms.
        ratios: Where bands end, as parts of all bins.
        last: True: no GELU at the end, since the output is the signal.
    """

    def __init__(
        self, source: int, target: int, level: Level, ratios: tuple[float, ...], *, last: bool
    ) -> None:
        super().__init__()
        self.level = level
        self.ratios = ratios
        self.last = last
        inner = dataclasses.replace(level, margin=0, sees_bins=False)
        self.layers = nn.ModuleList(Decoder(source, target, inner, last=True) for _ in range(len(ratios) + 1))

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """Features of the level above, with F times the stride."""
        stride, bins = self.level.stride, x.shape[2]
        parts: list[Tensor] = []
        for layer, band in zip(self.layers, decoder_bands(self.ratios, bins), strict=True):
            raised = layer(x[:, :, band], skip[:, :, band], length)
            if parts:
                lower = parts.pop()
                bias = layer.get_parameter("conv_tr.bias")[:, None, None]
                shared = lower[:, :, -stride:] + (raised[:, :, :stride] - bias)
                parts += [lower[:, :, :-stride], shared]
                raised = raised[:, :, stride:]
            parts.append(raised)
        out = torch.cat(parts, dim=2).narrow(2, self.level.margin, bins * stride)
        return out if self.last else F.gelu(out)
