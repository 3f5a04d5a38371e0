"""Twice the sample rate and back: against the sum it stands for, and against the published resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import signals
from unbraid.dsp.oversample import downsample, upsample

LENGTHS = [1, 2, 3, 26, 52, 63, 64, 65, 127, 128, 129, 1000, 4001]


def noise(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[-1]), dtype=dtype)


def slow(samples, old, new):
    """Each output as a sum of windowed sincs around its place; samples beyond the ends repeat them."""
    band = 0.945 * min(old, new) / old
    width = math.ceil(24 / band)
    resampled = []
    for output in range(len(samples) * new // old):
        base, phase = divmod(output, new)
        near = np.arange(-width, width + old)
        time = np.clip(band * (near - phase * old / new), -24, 24)
        weights = np.sinc(time) * np.cos(np.pi * time / 48) ** 2
        values = samples[np.clip(base * old + near, 0, len(samples) - 1)]
        resampled.append(np.sum(weights * values) / np.sum(weights))
    return np.array(resampled)


@pytest.mark.parametrize(("function", "old", "new"), [(upsample, 1, 2), (downsample, 2, 1)])
@pytest.mark.parametrize("length", [length for length in LENGTHS if length < 1000])
def test_each_sample_is_the_sum_of_windowed_sincs(function, old, new, length):
    signal = noise(length)
    made = function(signal).numpy()
    assert made.shape == (length * new // old,)
    # The kernels are float32: each tap is rounded by 2⁻²⁴ at most.
    np.testing.assert_allclose(made, slow(signal.numpy(), old, new), rtol=0, atol=2e-6)


@pytest.mark.reference
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_it_equals_the_resampling_the_published_weights_were_trained_with(length, dtype, tolerance):
    from julius import resample_frac

    signal = noise(2, 3, length, dtype=dtype)
    for function, rates in ((upsample, (1, 2)), (downsample, (2, 1))):
        expected = resample_frac(signal, *rates)
        torch.testing.assert_close(function(signal), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("length", [1, 2, 100, 1001])
def test_a_constant_stays_the_same_up_to_its_ends(length):
    signal = signals.constant(length).double()
    for made in (upsample(signal), downsample(signal)):
        torch.testing.assert_close(made, torch.full_like(made, 0.5), rtol=0, atol=1e-6)


@pytest.mark.parametrize("hz", [20, 1000, 8000, 16_000])
def test_what_both_rates_hold_comes_back(hz):
    tone = signals.tone(8192, hz=hz).double()
    back = downsample(upsample(tone))
    inside = slice(200, -200)
    error = (back - tone)[:, inside].norm() / tone[:, inside].norm()
    assert 20 * error.log10() < -60


def test_what_half_the_rate_cannot_hold_is_gone():
    tone = signals.tone(8192, hz=14_000).double()
    left = downsample(tone)[:, 100:-100].square().mean() / tone.square().mean()
    assert 10 * left.log10() < -80


@pytest.mark.parametrize("function", [upsample, downsample])
def test_gradients_are_those_of_the_sum(function):
    signal = noise(2, 70).requires_grad_()
    assert torch.autograd.gradcheck(function, signal)


@pytest.mark.parametrize("function", [upsample, downsample])
@pytest.mark.parametrize("shape", [(2, 0), (0, 100)])
def test_no_samples_give_none(function, shape):
    assert not function(torch.zeros(shape)).numel()


def test_a_view_is_as_good_as_a_copy_and_is_not_written_to():
    whole = noise(2, 3, 600)
    before = whole.clone()
    view = whole.transpose(0, 1)[..., 3:400:2]
    for function in (upsample, downsample):
        assert function(view).equal(function(view.contiguous()))
    assert whole.equal(before)
