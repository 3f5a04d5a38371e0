"""Another sample rate, against the sum it stands for, and what must hold anyway."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unbraid.dsp.polyphase import resample

RATIOS = [(44100, 22050), (3, 1), (1, 3), (16, 3), (3, 16), (147, 160)]


def slow(samples, old, new):
    """Each output as a sum of windowed sincs around its place; beyond the ends there is silence."""
    common = math.gcd(old, new)
    up, down = new // common, old // common
    widest = max(up, down)
    half = 10 * widest
    taps = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    made = np.zeros(-(-len(samples) * up // down))
    for output in range(len(made)):
        for place, value in enumerate(samples):
            offset = output * down - place * up
            if abs(offset) <= half:
                made[output] += value * taps[half + offset]
    return made


@pytest.mark.parametrize(("old", "new"), RATIOS)
@pytest.mark.parametrize("length", [1, 2, 21, 64, 130])
def test_each_sample_is_the_sum_of_windowed_sincs(old, new, length):
    signal = torch.randn(length, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
    expected = slow(signal.numpy(), old, new)
    np.testing.assert_allclose(resample(signal, old, new).numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("old", "new"), RATIOS)
def test_a_slow_tone_keeps_its_place_and_strength(old, new):
    time = torch.arange(4000, dtype=torch.float64)
    step = 0.02 / old  # of a turn, at a rate of 1 Hz
    made = resample(torch.sin(2 * math.pi * step * time * 1), old, new)
    expected = torch.sin(2 * math.pi * step * torch.arange(len(made), dtype=torch.float64) * old / new)
    middle = slice(len(made) // 4, -len(made) // 4)
    torch.testing.assert_close(made[middle], expected[middle], rtol=0, atol=5e-3)


def test_the_same_rate_is_the_same_signal():
    signal = torch.randn(2, 10)
    assert resample(signal, 11025, 11025) is signal


@pytest.mark.parametrize("shape", [(0,), (2, 3, 0), (0, 5)])
def test_nothing_becomes_nothing(shape):
    assert resample(torch.zeros(shape), 2, 1).numel() == 0


def test_automatic_half_precision_leaves_it_alone():
    signal = torch.randn(2, 500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = resample(signal, 3, 1)
    assert half.equal(resample(signal, 3, 1))
