"""Dual paths that change between frames and their spectrum: along the bins, then along the frames, and again.

    layer 0   C channels, N frames                bins ─ frames ─┐
                                                                 │ Fourier transform along the frames
    layer 1   2C channels, N / 2 + 1 rates        bins ─ rates ──┤
                                                                 │ and back
    layer 2   C channels, N frames                bins ─ frames ─ …

What repeats along the frames, as a beat does, is one of a few rates to every other layer.

Source   Tong et al., "SCNet: sparse compression network for music source separation", ICASSP 2024,
         section 2.3; dual paths: Luo et al., ICASSP 2020.
Weights  parameter names and shapes are those of the published checkpoints.

B batch · C channel · F bin · N frame or rate · H hidden
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.dsp import dft
from unbraid.networks.layers.axial_transformer import Sizes, Transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unbraid.networks.layers.rotary import RotaryEmbedding


class DualPath(nn.Module):
    """What reads tokens along the bins, then along the frames, each beside a skip connection.

    Args:
        channels: In and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_layers = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))

    def along_bins(self, tokens: Tensor) -> Tensor:
        """Rows of one frame each, `(B·N, F, C)`, same shape."""
        raise NotImplementedError

    def along_frames(self, tokens: Tensor) -> Tensor:
        """Rows of one bin each, `(B·F, N, C)`, same shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)`, same shape."""
        batch, _, bins, frames = x.shape
        rows = self.norm_layers[0](x).permute(0, 3, 2, 1).flatten(0, 1)
        read = torch.unflatten(self.along_bins(rows), 0, (batch, frames))  # (B, N, F, C)
        x = x + read.permute(0, 3, 2, 1)
        rows = self.norm_layers[1](x).permute(0, 2, 3, 1).flatten(0, 1)
        read = torch.unflatten(self.along_frames(rows), 0, (batch, bins))  # (B, F, N, C)
        return x + read.permute(0, 3, 1, 2)


class RecurrentPath(DualPath):
    """Both paths read by a bidirectional LSTM and a linear layer.

    Args:
        channels: In and out.
        expand: Hidden size of a direction, in multiples of the channels.
    """

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__(channels)
        hidden = expand * channels
        self.lstm_layers = nn.ModuleList(
            nn.LSTM(channels, hidden, batch_first=True, bidirectional=True) for _ in range(2)
        )
        self.linear_layers = nn.ModuleList(nn.Linear(2 * hidden, channels) for _ in range(2))

    def along_bins(self, tokens: Tensor) -> Tensor:
        """Rows of one frame each, `(B·N, F, C)`, same shape."""
        return self._read(0, tokens)

    def along_frames(self, tokens: Tensor) -> Tensor:
        """Rows of one bin each, `(B·F, N, C)`, same shape."""
        return self._read(1, tokens)

    def _read(self, path: int, tokens: Tensor) -> Tensor:
        states, _ = self.lstm_layers[path](tokens)
        out: Tensor = self.linear_layers[path](states)
        return out


class TransformerPath(DualPath):
    """Both paths read by transformers.

    Args:
        sizes: Of tokens and heads.
        depth: Of each transformer.
        places: How tokens know their bin, and how they know their frame.
    """

    def __init__(self, sizes: Sizes, depth: int, places: tuple[RotaryEmbedding, RotaryEmbedding]) -> None:
        super().__init__(sizes.channels)
        self.freq_layer, self.time_layer = (Transformer(sizes, depth, place) for place in places)

    def along_bins(self, tokens: Tensor) -> Tensor:
        """Rows of one frame each, `(B·N, F, C)`, same shape."""
        out: Tensor = self.freq_layer(tokens)
        return out

    def along_frames(self, tokens: Tensor) -> Tensor:
        """Rows of one bin each, `(B·F, N, C)`, same shape."""
        out: Tensor = self.time_layer(tokens)
        return out


class DualDomain(nn.Module):
    """Dual paths over frames, then over rates, in turns.

    Args:
        layers: How many; even, so that frames come out.
        channels: In and out, C.
        path: Makes a dual path of so many channels.
    """

    def __init__(self, layers: int, channels: int, path: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.dp_modules = nn.ModuleList(path(channels * (1 + layer % 2)) for layer in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)` of an even number of frames, same shape."""
        frames = x.shape[-1]
        exact = x.new_zeros((), dtype=torch.promote_types(x.dtype, torch.float32))
        there, back = dft.analysis(frames, like=exact), dft.synthesis(frames, like=exact)
        for layer, path in enumerate(self.dp_modules):
            x = path(x)
            x = _frames(x, back) if layer % 2 else _rates(x, there)
        return x


def _rates(x: Tensor, matrix: Tensor) -> Tensor:
    """Features `(B, C, F, N)` to the spectrum along their frames, `(B, 2C, F, N / 2 + 1)`."""
    return torch.cat(_product(x, matrix).chunk(2, dim=-1), dim=1)


def _frames(x: Tensor, matrix: Tensor) -> Tensor:
    """The inverse of `_rates`."""
    return _product(torch.cat(x.chunk(2, dim=1), dim=-1), matrix)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """Rows times a matrix in the matrix' precision, whatever that of the rows is and autocast wishes."""
    with torch.autocast(x.device.type, enabled=False):
        return (x.to(matrix.dtype) @ matrix).to(x.dtype)
