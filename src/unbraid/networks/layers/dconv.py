"""The dilated residual branch of Demucs, and how its family's convolutions begin.

Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, sections 3.3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.networks.layers.local_attention import LocalAttention
from unbraid.networks.layers.norm import LayerScale, SignalNorm
from unbraid.networks.layers.recurrent import BLSTM

if TYPE_CHECKING:
    from torch import Tensor


_MAX_STEPS = 200  # that the recurrence reads as one


class DConv(nn.Module):
    """Residual layers that look further each time, in a narrow space: context for few multiplications.

    Layer d squeezes the channels with a convolution of dilation 2^d, widens them again through a gated
    unit and adds the result at a small learned gain. In the deepest levels, where time is short, the narrow
    signal may also be read by a recurrence and by local attention.

    Args:
        channels: In and out.
        compress: The narrow space has `channels / compress` channels, rounded down.
        depth: How many layers.
        init: First gain of each layer.
        lstm: Whether each layer has a recurrence.
        attention: Whether each layer has local attention.
        heads: Of the attention; a divisor of the narrow channels.
        decays: Gates of each of its heads.

    Raises:
        ConfigError: If the heads do not divide the narrow channels.
    """

    def __init__(
        self,
        channels: int,
        compress: int,
        depth: int,
        init: float,
        *,
        lstm: bool = False,
        attention: bool = False,
        heads: int = 4,
        decays: int = 4,
    ) -> None:
        super().__init__()
        narrow = channels // compress
        self.layers = nn.ModuleList(
            _DilatedLayer(
                nn.Conv1d(channels, narrow, 3, dilation=2**layer, padding=2**layer),
                SignalNorm(narrow),
                nn.GELU(),
                *([BLSTM(narrow, max_steps=_MAX_STEPS, skip=True)] if lstm else []),
                *([LocalAttention(narrow, heads, decays)] if attention else []),
                nn.Conv1d(narrow, 2 * channels, 1),
                SignalNorm(2 * channels),
                nn.GLU(dim=1),
                LayerScale(channels, init),
            )
            for layer in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, T)`, same shape out."""
        for layer in self.layers:
            x = layer(x)
        return x


class _DilatedLayer(nn.Sequential):
    """A sequence whose last module adds what the others made to the input."""

    def forward(self, x: Tensor) -> Tensor:
        *branch, scale = self
        y = x
        for module in branch:
            y = module(y)
        out: Tensor = scale(x, y)
        return out


def rescale_convolutions(module: nn.Module, reference: float) -> None:
    """Bring the first weights of each convolution halfway, in decibels, to a reference deviation.

    A weight tensor of deviation σ, and its bias, are divided by √(σ / reference).

    Args:
        module: Changed in place, with all within it.
        reference: The deviation aimed at.

    Source: Défossez et al., "Music source separation in the waveform domain", 2019, section 4.4.
    """
    convolutions = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, convolutions) and not layer.weight.is_meta:  # without values, no deviation
                scale = (layer.weight.std() / reference).sqrt()
                layer.weight /= scale
                if layer.bias is not None:
                    layer.bias /= scale
