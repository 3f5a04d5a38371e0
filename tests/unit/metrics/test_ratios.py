"""Ratios of energies: closed forms, what costs and what is free, and silence."""

from __future__ import annotations

import math

import pytest
import torch

from signals import antiphase, noise, silence, tone
from unbraid.errors import ShapeError
from unbraid.metrics import ratios
from unbraid.metrics.ratios import sd_sdr, sdr, si_sdr, snr

RATIOS = [sdr, snr, si_sdr, sd_sdr]
SOURCES = {"tone": tone(5000), "noise": noise(5000), "anti-phase": antiphase(5000)}


def orthogonal(reference, decibels, seed=7):
    """An error that shares nothing with the reference and lies so far below it."""
    error = noise(reference.shape[-1], seed=seed).double()
    exact = reference.double()
    error -= (error * exact).sum() / exact.square().sum() * exact
    return error * (exact.square().sum() / error.square().sum()).sqrt() * 10 ** (-decibels / 20)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("decibels", [-10.0, 0.0, 20.0, 60.0])
@pytest.mark.parametrize("source", SOURCES)
def test_an_error_of_a_known_level_gives_a_known_ratio(ratio, decibels, source):
    reference = SOURCES[source]
    found = ratio(reference, reference.double() + orthogonal(reference, decibels))
    assert found.item() == pytest.approx(decibels, abs=5e-3)  # the constant of sdr


@pytest.mark.parametrize("ratio", RATIOS)
def test_leading_axes_are_kept_apart(ratio):
    references = torch.stack([tone(1000), noise(1000), antiphase(1000)]).view(3, 1, 2, 1000)
    estimates = references + 0.1 * noise(1000, seed=3)
    alone = [ratio(*pair) for pair in zip(references[:, 0], estimates[:, 0], strict=True)]
    torch.testing.assert_close(ratio(references, estimates), torch.stack(alone).view(3, 1))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("at_once", [1, 7, 999])
def test_blocks_do_not_matter(ratio, at_once, monkeypatch):
    reference, estimate = tone(1000), tone(1000) + noise(1000)
    whole = ratio(reference, estimate)
    monkeypatch.setattr(ratios, "_AT_ONCE", at_once)
    torch.testing.assert_close(ratio(reference, estimate), whole)


@pytest.mark.parametrize("ratio", RATIOS)
def test_turning_both_up_changes_nothing(ratio):
    reference = tone(5000)
    estimate = reference + noise(5000)
    assert ratio(4 * reference, 4 * estimate).item() == pytest.approx(
        ratio(reference, estimate).item(), abs=1e-3
    )


@pytest.mark.parametrize("gain", [-2.0, 0.01, 0.5, 3.0])
def test_a_wrong_gain_is_free_for_si_sdr_alone(gain):
    reference = tone(5000)
    estimate = reference.double() + orthogonal(reference, 15)
    assert si_sdr(reference, gain * estimate).item() == pytest.approx(15)
    for ratio in (sdr, snr, sd_sdr):
        assert ratio(reference, gain * estimate).item() < 14.9


@pytest.mark.parametrize("gain", [0.01, 0.1, 0.5])
def test_turning_down_costs_sd_sdr_what_snr_forgives(gain):
    reference = noise(5000)
    lost = 20 * math.log10(1 - gain)
    assert snr(reference, gain * reference).item() == pytest.approx(-lost, abs=1e-5)
    assert sd_sdr(reference, gain * reference).item() == pytest.approx(20 * math.log10(gain) - lost, abs=1e-5)


def test_si_sdr_has_one_gain_for_all_channels():
    reference = noise(5000)
    turned = reference * torch.tensor([[1.0], [0.5]])
    assert si_sdr(reference, turned).item() < 12
    assert si_sdr(reference[:1], turned[:1]).item() > 100
    assert si_sdr(reference[1:], turned[1:]).item() > 100


def test_taking_off_the_mean_makes_offsets_free():
    reference = tone(4410)
    estimate = reference.double() + orthogonal(reference, 20)
    assert si_sdr(reference, estimate + 0.3).item() < 5
    moved = si_sdr(reference + 0.1, estimate + 0.3, zero_mean=True)
    torch.testing.assert_close(moved, si_sdr(reference, estimate, zero_mean=True))


@pytest.mark.parametrize("ratio", RATIOS)
def test_one_silent_channel_adds_nothing(ratio):
    reference, estimate = tone(5000), tone(5000) + noise(5000)
    muted = torch.tensor([[1.0], [0.0]])
    both = ratio(muted * reference, muted * estimate)
    torch.testing.assert_close(both, ratio(reference[:1], estimate[:1]))


@pytest.mark.parametrize(
    ("ratio", "perfect", "no_estimate", "no_reference", "nothing"),
    [
        (sdr, 110.97, 0.0, -11.304, 0.0),
        (snr, math.inf, 0.0, -math.inf, math.nan),
        (si_sdr, math.inf, math.nan, math.nan, math.nan),
        (sd_sdr, math.inf, -math.inf, math.nan, math.nan),
    ],
)
def test_silence_gives_what_is_written(ratio, perfect, no_estimate, no_reference, nothing):
    sound, mute = tone(50000), silence(50000)
    cases = [(sound, sound), (sound, mute), (mute, 1e-5 * sound), (mute, mute)]
    found = [ratio(reference, estimate).item() for reference, estimate in cases]
    assert found == pytest.approx([perfect, no_estimate, no_reference, nothing], abs=0.01, nan_ok=True)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_come_out_as_nan(ratio, bad):
    pair = torch.stack([tone(100), tone(100)])
    pair[0, 1, 3] = bad
    found = ratio(pair, noise(100).expand(2, 2, 100))
    assert found.isfinite().tolist() == [False, True]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("shapes", [((2, 10), (2, 11)), ((2, 10), (1, 10)), ((10,), (10,))])
def test_other_shapes_are_refused_with_both(ratio, shapes):
    first, second = map(torch.zeros, shapes)
    with pytest.raises(ShapeError, match=r"\([\d, ]+\).*\([\d, ]+\)"):
        ratio(first, second)


def test_long_quiet_tracks_are_counted_in_float64():
    # In float32 the energies of a long track stop growing: the sum's last digit outweighs a sample.
    reference = noise(2_000_000, gain=0.5)
    error = 1e-4 * noise(2_000_000, gain=0.5, seed=9)
    assert snr(reference, reference + error).item() == pytest.approx(80, abs=0.01)
