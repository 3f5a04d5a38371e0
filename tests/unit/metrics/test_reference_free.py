"""Symptoms of a separation: each on a signal made to have it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import unbraid
from signals import antiphase, click, clipped, noise, silence, tone
from unbraid.audio import Audio
from unbraid.errors import NonFiniteAudioError, ShapeError
from unbraid.estimates import Estimates
from unbraid.metrics.reference_free import examine

RATE = 44100
SECOND = 44100


def of(*sources, mixture=None, rate=RATE):
    """What examining sources a, b, ... shows; the mixture is their sum unless another is given."""
    stacked = torch.stack(sources)
    estimates = Estimates(stacked, tuple("abcdef"[: len(sources)]), rate)
    return examine(Audio(stacked.double().sum(0) if mixture is None else mixture, rate), estimates)


def pulsing(hz, *, seed=0):
    """Noise whose loudness goes up and down."""
    time = torch.arange(2 * SECOND) / RATE
    return noise(2 * SECOND, seed=seed) * (0.05 + torch.sin(math.pi * hz * time).square())


@pytest.mark.parametrize("decibels", [-80.0, -20.0, 0.0])
def test_what_is_left_has_its_level(decibels):
    source = noise(SECOND).double()
    left = 10 ** (decibels / 20) * source.flip(-1)
    whole = source + left
    expected = 10 * (left.square().sum() / whole.square().sum()).log10().item()
    assert of(source, mixture=whole).residual_db == pytest.approx(expected)


def test_estimates_that_add_up_leave_nothing():
    assert of(tone(SECOND), antiphase(SECOND), click(SECOND)).residual_db == -math.inf


@pytest.mark.parametrize("edge", [500, 5000, 11_000, 16_000, 20_000])
def test_the_band_edge_is_found(edge):
    spectrum = torch.fft.rfft(noise(4 * SECOND).double())
    spectrum[:, 4 * edge + 1 :] = 0
    cut = torch.fft.irfft(spectrum, 4 * SECOND)
    found = of(cut, mixture=noise(4 * SECOND))
    assert found.sources["a"].band_edge_hz == pytest.approx(edge, abs=300)
    assert found.mixture_band_edge_hz > 22_000


def test_rounding_to_16_bits_is_no_sound():
    spectrum = torch.fft.rfft(noise(4 * SECOND).double())
    spectrum[:, 4 * 8000 :] = 0
    rounded = (torch.fft.irfft(spectrum, 4 * SECOND) * 32768).round() / 32768
    assert of(rounded).sources["a"].band_edge_hz < 8300


@pytest.mark.parametrize(("gain", "over"), [(0.5, 0), (1.0, 0), (2.0, 2)])
def test_peaks_and_what_would_clip_are_counted(gain, over):
    found = of(gain * click(SECOND, at=99)).sources["a"]
    assert found.peak_dbfs == pytest.approx(20 * math.log10(gain), abs=1e-6)
    assert found.over_full_scale == over
    assert of(clipped(SECOND)).sources["a"].over_full_scale == 0


def test_leakage_grows_with_what_leaks():
    one, other = pulsing(3), pulsing(1.7, seed=1)
    found = [of(one + leak * other, other + leak * one).leakage["a"]["b"] for leak in (0, 0.03, 0.1, 0.3, 1)]
    assert found == sorted(found)
    assert abs(found[0]) < 0.2
    assert found[-1] == pytest.approx(1.0)


def test_leakage_is_the_same_both_ways_and_at_any_level():
    one, other, third = pulsing(3), pulsing(1.7, seed=1), pulsing(0.9, seed=2)
    leakage = of(one, 0.01 * other, third).leakage
    for first, second in itertools.permutations("abc", 2):
        assert leakage[first][second] == leakage[second][first]
    louder = of(one, other, third).leakage
    assert leakage["a"]["b"] == pytest.approx(louder["a"]["b"], abs=1e-5)


def test_a_silent_estimate_has_no_leakage_and_no_band():
    found = of(pulsing(3), silence(2 * SECOND))
    assert math.isnan(found.leakage["a"]["b"])
    mute = found.sources["b"]
    assert (mute.level_db, mute.band_edge_hz, mute.peak_dbfs) == (-math.inf, 0.0, -math.inf)


def test_a_silent_mixture_is_no_yardstick():
    assert math.isnan(of(silence(SECOND)).residual_db)
    assert of(tone(SECOND), mixture=silence(SECOND)).residual_db == math.inf


@pytest.mark.parametrize("length", [0, 1, 500])
def test_short_signals_are_examined(length):
    assert of(tone(length), tone(length)).sources["a"].over_full_scale == 0


def test_channels_are_not_cancelled_by_adding_them():
    mono, stereo = of(tone(SECOND)), of(antiphase(SECOND))
    assert stereo.sources["a"].band_edge_hz == mono.sources["a"].band_edge_hz
    assert stereo.sources["a"].level_db == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["mixture", "a"])
def test_nan_is_refused_with_its_place(bad, where):
    sources, mixture = tone(SECOND), tone(SECOND)
    (mixture if where == "mixture" else sources)[1, SECOND // 2] = bad
    with pytest.raises(NonFiniteAudioError, match=rf"{where} holds NaN or infinity at 0\.500 s"):
        of(sources, mixture=mixture)


def test_another_length_is_refused():
    with pytest.raises(ShapeError, match="both must agree"):
        of(tone(SECOND), mixture=tone(SECOND + 1))


def test_leaks_between_real_stems_are_seen(songs):
    stems = torch.stack(
        [unbraid.read(songs / "lithium" / f"{stem}.flac").samples for stem in ("vocals", "drums", "other")]
    )
    true = of(*stems).leakage
    leaky = of(*(stems + 0.1 * stems.sum(0))).leakage
    for one, other in itertools.combinations("abc", 2):
        assert leaky[one][other] > true[one][other] + 0.2
