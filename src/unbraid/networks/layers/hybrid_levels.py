"""The levels of hybrid Demucs: one design for the spectrogram's U-Net and for the waveform's.

    encoder    strided convolution ─ norm ─ GELU ─ residual branch ─ 1×1 convolution ─ norm ─ GLU
    decoder    skip ─ convolution ─ norm ─ GLU ─ residual branch ─ transposed convolution ─ norm ─ GELU

On a spectrogram the strided convolutions run over frequency, each frame on its own, and the residual branch
over time, each bin on its own; on a waveform all run over time.

Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, section 3.

B batch · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.strided import Strided1d, Strided2d
from unbraid.networks.layers.transposed import Raising1d, Raising2d
from unbraid.split import as_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_CACHED = 2**20  # values refined at once; half and double were both slower on two server cores


@dataclass(frozen=True, slots=True)
class Level:
    """How far a level steps, and what it is made of.

    Args:
        kernel: Of the strided convolutions.
        stride: By which they shorten frequency, or time.
        margin: Zeros they put, or samples they cut, at both ends.
        spectral: True: `(B, C, F, N)`, strided over F; False: `(B, C, T)`, strided over T.
        groups: Of the norms; 0: there are none.
        residual: Makes the residual branch for a number of channels; None: there is none.
        sees_bins: Whether a spectral decoder's first convolution sees the neighbouring bins, too.
    """

    kernel: int
    stride: int
    margin: int
    spectral: bool
    groups: int = 0
    residual: Callable[[int], nn.Module] | None = None
    sees_bins: bool = True

    def norm(self, channels: int) -> nn.Module:
        """A norm of this level."""
        return nn.GroupNorm(self.groups, channels) if self.groups else nn.Identity()


class Down(nn.Module):
    """The strided convolution at the head of an encoder.

    Args:
        source: Channels in.
        target: Channels out.
        level: Its sizes.
    """

    def __init__(self, source: int, target: int, level: Level) -> None:
        super().__init__()
        self.level = level
        kernel, stride, margin = level.kernel, level.stride, level.margin
        self.conv: nn.Module
        if level.spectral:
            self.conv = Strided2d(source, target, (kernel, 1), (stride, 1), (margin, 0))
        else:
            self.conv = Strided1d(source, target, kernel, stride, margin)

    def forward(self, x: Tensor) -> Tensor:
        """Features with F, or T rounded up to the next multiple, divided by the stride."""
        stride = self.level.stride
        if not self.level.spectral and x.shape[-1] % stride:
            x = F.pad(x, (0, -x.shape[-1] % stride))
        out: Tensor = self.conv(x)
        return out


class Encoder(Down):
    """One level down; arguments as for `Down`."""

    def __init__(self, source: int, target: int, level: Level) -> None:
        super().__init__(source, target, level)
        convolution = nn.Conv2d if level.spectral else nn.Conv1d
        self.norm1 = level.norm(target)
        self.rewrite = convolution(target, 2 * target, 1)
        self.norm2 = level.norm(2 * target)
        self.dconv = level.residual(target) if level.residual else None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Features of the level below; `other` is added to what the strided convolution makes."""
        x = super().forward(x)
        if other is not None:
            x = x + other
        if self.level.spectral and not self.level.groups:  # a norm needs all bins
            return few_bins_at_a_time(self._refined, x)
        return self._refined(x)

    def _refined(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(x))
        return _gated(self.rewrite, self.norm2, x if self.dconv is None else self.dconv(x))


class Up(nn.Module):
    """The transposed convolution at the end of a decoder.

    Args:
        source: Channels in.
        target: Channels out.
        level: Its sizes.
        last: True: no GELU at the end, since the output is the signal.
    """

    def __init__(self, source: int, target: int, level: Level, *, last: bool) -> None:
        super().__init__()
        self.level = level
        self.last = last
        kernel, stride = level.kernel, level.stride
        margin = 0 if level.groups else level.margin  # the norm sees the margins, so they are cut behind it
        self.conv_tr: nn.Module
        if level.spectral:
            self.conv_tr = Raising2d(source, target, (kernel, 1), (stride, 1), (margin, 0))
        else:
            self.conv_tr = Raising1d(source, target, kernel, stride, margin)
        self.norm2 = level.norm(target)

    def raised(self, x: Tensor, length: int) -> Tensor:
        """Features of the level above; the last axis cut to `length`."""
        x = self.norm2(self.conv_tr(x))
        if self.level.groups:
            axis, margin = -2 if self.level.spectral else -1, self.level.margin
            x = x.narrow(axis, margin, x.shape[axis] - 2 * margin)
        x = x[..., :length]
        return x if self.last else F.gelu(x)


class Decoder(Up):
    """One level up, the encoder's mirror; arguments as for `Up`."""

    def __init__(self, source: int, target: int, level: Level, *, last: bool) -> None:
        super().__init__(source, target, level, last=last)
        self.rewrite: nn.Module
        if level.spectral:
            reach = 1 if level.sees_bins else 0
            self.rewrite = nn.Conv2d(source, 2 * source, (1 + 2 * reach, 3), padding=(reach, 1))
        else:
            self.rewrite = nn.Conv1d(source, 2 * source, 3, padding=1)
        self.norm1 = level.norm(2 * source)
        self.dconv = level.residual(source) if level.residual else None

    def gathered(self, x: Tensor, skip: Tensor) -> Tensor:
        """What came from below and the encoder's features as one, before the transposed convolution."""
        x = _gated(self.rewrite, self.norm1, x + skip)
        if self.dconv is None:
            return x
        out: Tensor = few_bins_at_a_time(self.dconv, x) if self.level.spectral else self.dconv(x)
        return out

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """Features of the level above; the last axis cut to `length`."""
        return self.raised(self.gathered(x, skip), length)


def _gated(convolution: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Half of the channels of a convolution, as far as the other half opens their gates.

    In a graph the halves are convolutions of their own, where no norm sees both: so nothing has to be cut.
    """
    if not as_graph() or not isinstance(norm, nn.Identity):
        return F.glu(norm(convolution(x)), dim=1)
    weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
    function: Callable[..., Tensor] = F.conv2d if isinstance(convolution, nn.Conv2d) else F.conv1d
    value, gate = (
        function(x, part, added, padding=convolution.padding)
        for part, added in zip(weight.chunk(2), bias.chunk(2), strict=True)
    )
    return value * gate.sigmoid()


def few_bins_at_a_time(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function that treats each bin on its own, over so few bins that what it makes stays in cache.

    The outermost residual branch makes tensors of 66 MB otherwise, and waits for memory most of its time.
    A runtime that is given the layers as a graph cuts them to its own measure.
    """
    if as_graph():
        return function(x)
    bins = max(1, _CACHED * x.shape[2] // x.numel())
    return torch.cat([function(part) for part in torch.split(x, bins, dim=2)], dim=2)
