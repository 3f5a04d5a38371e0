"""Transposed convolutions over one axis, as ordinary ones with a channel for each place of a step.

Of a kernel of 8 taps and a stride of 4, each output sees two inputs only, and which taps depends on its place
in the step: to place r come tap r of the input there and tap r + 4 of the one before. So four ordinary
kernels of two taps make the four places, which are then put in a row::

    places   0 1 2 3 | 0 1 2 3 | 0 1 2 3        with input m and the one before
    step        m    |  m + 1  |  m + 2

On a processor that takes a half to a tenth of the time; the sums are the same but for their order. Other
devices and runtimes of graphs have transposed convolutions that are as fast.

Names, parameters and answers are those of PyTorch's layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from unbraid.split import as_graph

if TYPE_CHECKING:
    from torch import Tensor


class Raising1d(nn.ConvTranspose1d):
    """PyTorch's `ConvTranspose1d` faster where the kernel is a multiple of the stride."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """From `(B, C, T)` to `(B, D, (T − 1) · stride + kernel − 2 · padding)`."""
        stride, (taps, left) = self.stride[0], divmod(self.kernel_size[0], self.stride[0])
        if left or output_size is not None or not _pays(x):
            return super().forward(x, output_size)
        places = F.conv1d(
            x, *_by_place(self, taps, stride), padding=taps - 1
        )  # (B, D · stride, T + taps − 1)
        raised = torch.unflatten(places, 1, (-1, stride)).mT.flatten(2)
        return _without(raised, int(self.padding[0]))


class Raising2d(nn.ConvTranspose2d):
    """PyTorch's `ConvTranspose2d` over bins, faster where the kernel is a multiple of the stride."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """From `(B, C, F, N)` to `(B, D, (F − 1) · stride + kernel − 2 · padding, N)`."""
        stride, (taps, left) = self.stride[0], divmod(self.kernel_size[0], self.stride[0])
        if left or output_size is not None or not _pays(x):
            return super().forward(x, output_size)
        places = F.conv2d(x, *_by_place(self, taps, stride), padding=(taps - 1, 0))
        raised = torch.unflatten(places, 1, (-1, stride)).transpose(2, 3).flatten(2, 3)
        return _without(raised, int(self.padding[0]))


def _pays(x: Tensor) -> bool:
    return x.device.type == "cpu" and not as_graph()


def _by_place(
    layer: nn.ConvTranspose1d | nn.ConvTranspose2d, taps: int, stride: int
) -> tuple[Tensor, Tensor | None]:
    """Weight `(D · stride, C, taps, …)` and bias of the ordinary convolution that makes all places."""
    weight = torch.unflatten(layer.weight, 2, (taps, stride)).flip(2)  # (C, D, taps, stride, …)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(stride)
    return weight.movedim((1, 3, 0, 2), (0, 1, 2, 3)).flatten(0, 1), bias


def _without(raised: Tensor, margin: int) -> Tensor:
    """All but so many of the third axis at both ends."""
    return raised.narrow(2, margin, raised.shape[2] - 2 * margin)
