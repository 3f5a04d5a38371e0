"""Transposed convolutions made of ordinary ones give PyTorch's own answer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unbraid.networks.layers.transposed import Raising1d, Raising2d

SIZES = [(8, 4, 2), (8, 4, 0), (4, 2, 1), (9, 3, 0), (4, 4, 0), (5, 2, 1)]


@pytest.mark.parametrize(("kernel", "stride", "margin"), SIZES)
@pytest.mark.parametrize("bias", [True, False])
def test_signals_are_raised_as_by_pytorch(kernel, stride, margin, bias):
    ours = Raising1d(3, 5, kernel, stride, margin, bias=bias).double()
    theirs = nn.ConvTranspose1d(3, 5, kernel, stride, margin, bias=bias).double()
    theirs.load_state_dict(ours.state_dict())
    for length in (1, 2, 11):
        x = torch.randn(2, 3, length, dtype=torch.float64)
        if (length - 1) * stride + kernel > 2 * margin:
            torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "margin"), SIZES)
def test_bins_are_raised_as_by_pytorch(kernel, stride, margin):
    ours = Raising2d(3, 5, (kernel, 1), (stride, 1), (margin, 0)).double()
    theirs = nn.ConvTranspose2d(3, 5, (kernel, 1), (stride, 1), (margin, 0)).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_pytorch():
    ours, theirs = Raising1d(3, 5, 8, 4, 2), nn.ConvTranspose1d(3, 5, 8, 4, 2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 9)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
