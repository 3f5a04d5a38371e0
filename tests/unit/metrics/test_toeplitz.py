"""Filters from correlations: beside the whole matrix, and where that has no inverse."""

from __future__ import annotations

import pytest
import torch

from signals import noise
from unbraid.metrics.toeplitz import solve

LENGTH = 600


def correlations(signals, others, taps):
    """Entry `(i, j, l)`: the sum over n of signal i at n times other j at n + l."""
    padded = torch.nn.functional.pad(others, (0, taps - 1))
    return torch.stack([signals @ padded[:, lag : lag + LENGTH].mT for lag in range(taps)], -1)


def delayed(signals, taps):
    """Signals delayed by each tap, tap after tap within a channel, `(K * L, time)`."""
    padded = torch.nn.functional.pad(signals, (0, taps - 1))
    return torch.cat([torch.stack([row.roll(tap) for tap in range(taps)]) for row in padded])


def error(signals, others, taps):
    """How far the projection on delayed signals is from that by `lstsq`, by the size of the others."""
    found = solve(correlations(signals, signals, taps), correlations(signals, others, taps))
    basis = delayed(signals, taps)
    target = torch.nn.functional.pad(others, (0, taps - 1))
    expected = torch.linalg.lstsq(basis.mT, target.mT, driver="gelsd").solution
    made = basis.mT @ found.transpose(1, 2).flatten(0, 1)
    return ((made - basis.mT @ expected).norm() / others.norm()).item()


def channels(count, seed=0):
    return noise(LENGTH, channels=count, seed=seed).double()


@pytest.mark.parametrize("taps", [1, 2, 7, 32])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("others", [1, 3])
def test_filters_are_those_of_least_squares(taps, count, others):
    signals, aimed_at = channels(count), channels(others, seed=1)
    assert error(signals, 0.3 * aimed_at + signals[:1].roll(1), taps) < 1e-12


@pytest.mark.parametrize("floor", [1e-2, 1e-4, 1e-5])
def test_signals_that_almost_lack_a_band_are_projected_as_exactly_as_they_allow(floor):
    spectrum = torch.fft.rfft(channels(2))
    spectrum[:, 60:] *= floor
    signals = torch.fft.irfft(spectrum, LENGTH)
    assert error(signals, channels(2, seed=1), 24) < 1e-16 / floor**2 + 1e-12


def test_channels_that_are_equal_are_projected_on_as_one():
    signals = channels(1).expand(3, -1)
    assert error(signals, channels(2, seed=1), 16) < 1e-6


def test_silence_makes_nothing():
    filters = solve(torch.zeros(2, 2, 8, dtype=torch.float64), torch.zeros(2, 3, 8, dtype=torch.float64))
    assert filters.shape == (2, 3, 8)
    assert not filters.any()
