"""The dilated residual branch of Demucs, and how its family's convolutions begin.

Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, sections 3.3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.local_attention import LocalAttention
from unbraid.networks.layers.norm import LayerScale, SignalNorm, beside, mean_of_means
from unbraid.networks.layers.recurrent import BLSTM
from unbraid.split import as_graph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


_MAX_STEPS = 200  # that the recurrence reads as one
_SIGNAL = 3  # axes of signals `(B, C, T)`


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
        self.reads = lstm or attention
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
        """Signals `(B, C, T)`, or rows `(B, C, R, T)` that do not know each other; same shape out."""
        rows = x if x.ndim > _SIGNAL else x[:, :, None]
        if as_graph() and not self.reads:
            for layer in self.layers:
                rows = cast("_DilatedLayer", layer).of_rows(rows)
        else:
            signals = rows.transpose(1, 2).flatten(0, 1)  # (B·R, C, T)
            for layer in self.layers:
                signals = layer(signals)
            rows = signals.view(len(x), -1, *signals.shape[1:]).transpose(1, 2)
        return rows.reshape(x.shape)


class _DilatedLayer(nn.Sequential):
    """A sequence whose last module adds what the others made to the input."""

    def forward(self, x: Tensor) -> Tensor:
        *branch, scale = self
        y = x
        for module in branch:
            y = module(y)
        out: Tensor = scale(x, y)
        return out

    def of_rows(self, x: Tensor) -> Tensor:
        """Rows `(B, C, R, T)`, same shape, in a form that graphs are fast with; without recurrence.

        Rows are not moved into the batch, and the wide signal is passed over once, for the statistics of its
        norm come from the narrow signal h that it is made from: y = W h + c, and with h̄ the mean of h over
        time, the mean of y over channels and time is that of W h̄ + c over channels. Its variance is that of
        W h̄ + c over channels plus the mean over time of (h − h̄)ᵀ M (h − h̄), where M = Wᵀ W / 2C.
        """
        squeeze, norm, gelu, widen, wide_norm, _, scale = cast("Iterable[Any]", self)
        (step,) = squeeze.dilation
        h = F.conv2d(x, squeeze.weight[:, :, None], squeeze.bias, padding=(0, step), dilation=(1, step))
        h = gelu(norm(h))  # (B, N, R, T)
        mean = h.mean(-1, keepdim=True)
        h = h - mean
        weight = widen.weight[:, :, None]  # (2C, N, 1, 1)
        wide_mean = F.conv2d(mean, weight, widen.bias)  # (B, 2C, R, 1)
        offset = wide_mean - wide_mean.mean(1, keepdim=True)
        moment = (weight.flatten(1).T @ weight.flatten(1)) / len(weight)  # (N, N)
        variance = mean_of_means(h * F.conv2d(h, moment[:, :, None, None])) * len(moment)
        variance = variance + offset.square().mean(1, keepdim=True)  # (B, 1, R, 1)
        inverse = (variance + wide_norm.eps).rsqrt()
        gain = beside(wide_norm.weight, x)
        offset = offset * inverse * gain + beside(wide_norm.bias, x)
        value, gate = (
            F.conv2d(h, part) * inverse + added
            for part, added in zip((weight * gain[:, None]).chunk(2), offset.chunk(2, dim=1), strict=True)
        )
        out: Tensor = scale(x, value * gate.sigmoid())
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
