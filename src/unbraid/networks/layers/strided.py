"""Strided convolutions that a processor's half-precision units calculate rightly whatever their width.

oneDNN 3.12, which PyTorch 2.13 brings, has kernels for Intel's matrix units (AMX) that take the wrong values
where a long kernel meets few input channels: of 264 shapes tried in bfloat16, the 12 wrong ones had 8, 12, 16
or 24 channels and 8 taps, or 4 taps with a stride of 4; two and four channels, and 32 and more, were right.
So channels between are filled up to 32 with zeros, which add nothing to any sum.

Names, parameters and answers are those of PyTorch's layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_FEW = range(5, 32)  # input channels; 32 values of bfloat16 fill a row of the unit


class Strided1d(nn.Conv1d):
    """PyTorch's `Conv1d`, right in half precision for few channels, too."""

    def forward(self, x: Tensor) -> Tensor:
        """From `(B, C, T)` to `(B, D, (T + 2 · padding − kernel) / stride + 1)`."""
        out: Tensor = self._conv_forward(*_filled(x, self.weight), self.bias)
        return out


class Strided2d(nn.Conv2d):
    """PyTorch's `Conv2d` over bins, right in half precision for few channels, too."""

    def forward(self, x: Tensor) -> Tensor:
        """From `(B, C, F, N)` to `(B, D, (F + 2 · padding − kernel) / stride + 1, N)`."""
        out: Tensor = self._conv_forward(*_filled(x, self.weight), self.bias)
        return out


def _filled(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Signals and kernels with channels of zeros, where a processor calculates in half precision."""
    channels = x.shape[1]
    if channels not in _FEW or not _in_half_on_cpu(x):
        return x, weight
    behind = (*[0, 0] * (x.ndim - 2), 0, _FEW.stop - channels)
    return F.pad(x, behind), F.pad(weight, behind)


def _in_half_on_cpu(x: Tensor) -> bool:
    if x.device.type != "cpu":
        return False
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype.itemsize == 2
