"""Transposed convolutions over one axis, as ordinary ones with a channel for each place of a step.

Of a kernel of 8 taps and a stride of 4, each output sees two inputs only, and which taps depends on its place
in the step: to place r come tap r of the input there and tap r + 4 of the one before. So four ordinary
kernels of two taps make the four places, which are then put in a row::

    places   0 1 2 3 | 0 1 2 3 | 0 1 2 3        with input m and the one before
    step        m    |  m + 1  |  m + 2

On a processor that takes a half to a tenth of the time; the sums are the same but for their order. Graphs of
other runtimes take as long in float32 and less in bfloat16. Other devices have transposed convolutions that
are as fast.

Names, parameters and answers are those of PyTorch's layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Raising1d(nn.ConvTranspose1d):
    """PyTorch's `ConvTranspose1d`, faster where the kernel is a multiple of the stride."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """From `(B, C, T)` to `(B, D, (T − 1) · stride + kernel − 2 · padding)`."""
        if output_size is not None or not _pays(self, x):
            return super().forward(x, output_size)
        return _raised(self, x, F.conv1d)


class Raising2d(nn.ConvTranspose2d):
    """PyTorch's `ConvTranspose2d` over bins, faster where the kernel is a multiple of the stride."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """From `(B, C, F, N)` to `(B, D, (F − 1) · stride + kernel − 2 · padding, N)`."""
        if output_size is not None or not _pays(self, x):
            return super().forward(x, output_size)
        return _raised(self, x, F.conv2d)


def _pays(layer: nn.ConvTranspose1d | nn.ConvTranspose2d, x: Tensor) -> bool:
    return layer.kernel_size[0] % layer.stride[0] == 0 and x.device.type == "cpu"


def _raised(
    layer: nn.ConvTranspose1d | nn.ConvTranspose2d, x: Tensor, convolution: Callable[..., Tensor]
) -> Tensor:
    """What a layer makes of signals `(B, C, T, …)`, by an ordinary convolution that makes all places."""
    stride, margin = layer.stride[0], int(layer.padding[0])
    taps = layer.kernel_size[0] // stride
    weight = torch.unflatten(layer.weight, 2, (taps, stride)).flip(2)  # (C, D, taps, stride, …)
    weight = weight.movedim((1, 3, 0, 2), (0, 1, 2, 3)).flatten(0, 1)  # (D · stride, C, taps, …)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(stride)
    places = convolution(x, weight, bias, padding=(taps - 1, *[0] * (x.ndim - 3)))
    raised = torch.unflatten(places, 1, (-1, stride)).transpose(2, 3).flatten(2, 3)
    return raised.narrow(2, margin, raised.shape[2] - 2 * margin)
