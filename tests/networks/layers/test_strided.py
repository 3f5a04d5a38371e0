"""Strided convolutions give PyTorch's own answer, and half precision meets no width that it takes wrongly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unbraid.networks.layers.strided import Strided1d, Strided2d

WIDTHS = [2, 4, 8, 12, 16, 24, 32, 48]


def pair(spectral, width):
    """Our layer, PyTorch's with the same weights, and a signal for both."""
    if spectral:
        sizes, shape = ((8, 1), (4, 1), (2, 0)), (1, width, 32, 9)
        ours, theirs = Strided2d(width, 6, *sizes), nn.Conv2d(width, 6, *sizes)
    else:
        ours, theirs = Strided1d(width, 6, 8, 4, 2), nn.Conv1d(width, 6, 8, 4, 2)
        shape = (1, width, 257)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(shape)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_is_that_of_pytorch(spectral, width):
    ours, theirs, x = pair(spectral, width)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close(spectral, width, dtype):
    ours, theirs, x = pair(spectral, width)
    whole = theirs(x)
    half = ours.to(dtype)(x.to(dtype))
    assert half.dtype == dtype
    assert (half - whole).norm() < 0.01 * whole.norm()
    ours.float()
    with torch.autocast("cpu", dtype):
        assert (ours(x) - whole).norm() < 0.01 * whole.norm()


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize(("width", "seen"), [(2, 2), (4, 4), (5, 32), (24, 32), (31, 32), (32, 32), (48, 48)])
def test_few_channels_are_filled_in_half_precision_only(monkeypatch, spectral, width, seen):
    ours, _, x = pair(spectral, width)
    widths = []
    calculate = ours._conv_forward
    monkeypatch.setattr(
        ours, "_conv_forward", lambda x, *rest: widths.append(x.shape[1]) or calculate(x, *rest)
    )
    ours(x)
    ours.bfloat16()(x.bfloat16())
    assert widths == [width, seen]


def test_gradients_pass_through_the_filling():
    ours, theirs, x = pair(False, 8)
    for layer in (ours.bfloat16(), theirs):
        layer(x.to(layer.weight.dtype)).square().sum().backward()
    assert (ours.weight.grad - theirs.weight.grad).norm() < 0.05 * theirs.weight.grad.norm()
