"""What holds for every method without training."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.base import build
from unbraid.networks.classical.masking import shares

METHODS = ("hpss", "nmf", "repet", "repet_sim", "centre", "rpca")
FOR_MONO = [method for method in METHODS if method != "centre"]


def made(method, **options):
    return build(method, {**TINY[method], **options})


@pytest.mark.parametrize("length", [1, 2, 31, 129, 700, 4000])
@pytest.mark.parametrize("method", METHODS)
def test_estimates_add_up_to_the_mixture_at_every_length(method, length):
    mixture = signals.noise(length)[None].double()
    estimates = made(method)(mixture)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [4032 - 1, 4032, 4032 + 1])
@pytest.mark.parametrize("method", METHODS)
def test_the_last_samples_are_no_louder_than_the_others(method, length):
    mixture = signals.noise(length)[None]
    estimates = made(method, hop_length=64)(mixture)  # half of a frame: the windows end where frames meet
    assert estimates[..., -70:].abs().max() < 1.5 * estimates[..., :-70].abs().max()


@pytest.mark.parametrize("method", METHODS)
def test_silence_stays_silent(method):
    assert not made(method)(signals.silence(2000)[None]).any()


@pytest.mark.parametrize(
    "signal", [signals.constant, signals.clipped, signals.antiphase, signals.click, signals.chirp]
)
@pytest.mark.parametrize("method", METHODS)
def test_odd_signals_add_up_too(method, signal):
    mixture = signal(2500)[None]
    estimates = made(method)(mixture)
    assert estimates.isfinite().all()
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", FOR_MONO)
def test_mono_heard_on_both_sides_is_separated_as_mono(method):
    options = {"iterations": 1} if method == "nmf" else {}  # its first levels differ for each channel
    one = signals.noise(2500, channels=1)[None].double()
    alone = made(method, audio_channels=1, **options)(one)
    both = made(method, **options)(one.expand(-1, 2, -1))
    torch.testing.assert_close(both.mean(2, keepdim=True), alone, rtol=0, atol=0.02 if options else 1e-9)


@pytest.mark.parametrize("gain", [1e-6, 1e3])
@pytest.mark.parametrize("method", METHODS)
def test_the_level_of_a_mixture_is_that_of_its_estimates(method, gain):
    mixture, method = signals.noise(2500)[None].double(), made(method)
    torch.testing.assert_close(method(gain * mixture) / gain, method(mixture), rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_is_heard_every_time_and_whatever_came_before(method):
    mixture = signals.noise(2500)[None]
    first = made(method)(mixture)
    torch.rand(3)
    assert made(method)(mixture).equal(first)


@pytest.mark.parametrize("method", METHODS)
def test_a_mixture_of_other_channels_is_refused(method):
    with pytest.raises(
        ShapeError, match=r"\(1, 3, 500\); .* takes \(batch, channels, time\) with 2 channels"
    ):
        made(method)(torch.zeros(1, 3, 500))


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_mixture_is_refused(method):
    with pytest.raises(ShapeError, match="at least one sample"):
        made(method)(torch.zeros(1, 2, 0))


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("hpss", {"margin": 1.0}, "this makes no HPSS: it makes 2 sources, not 3"),
        ("hpss", {"harmonic_frames": 8}, "must be odd"),
        ("hpss", {"percussive_bins": 2**40}, "percussive_bins must be 1 to 1023"),
        ("hpss", {"margin": float("nan")}, "margin must be 1 to 100, not nan"),
        ("nmf", {"sources": ["a", "b"]}, "it makes 3 sources, not 2"),
        ("nmf", {"components": 10**9}, "components must be 1 to 1024"),
        ("repet", {"n_fft": 127}, "n_fft must be even"),
        ("repet", {"longest_period": 0.01}, "longest_period must be no shorter than shortest_period"),
        ("repet_sim", {"hop_length": 100}, "at most n_fft / 2"),
        ("centre", {"audio_channels": 1}, "audio_channels must be 2 to 2, not 1"),
        ("rpca", {"low_hz": 4000.0}, "no bin lies between low_hz and high_hz"),
    ],
)
def test_numbers_that_make_no_method_are_refused_with_the_reason(method, options, said):
    with pytest.raises(ConfigError, match=said):
        made(method, **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_song_may_be_given_at_once(method):
    spec = build(method).spec
    assert 30 * spec.sample_rate <= spec.segment <= 60 * spec.sample_rate
    assert spec.limit >= 600 * spec.sample_rate


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 40.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shares_are_those_of_the_powers_whatever_the_level(power, dtype, rng):
    levels = torch.rand(3, 50, generator=rng).to(dtype) + 0.1
    expected = levels**power / (levels**power).sum(0)
    for gain in (1e-30, 1.0, 1e30):
        torch.testing.assert_close(shares(gain * levels, power), expected, rtol=1e-4, atol=1e-6)


def test_silence_is_shared_out_as_asked():
    nothing = torch.zeros(4, 3)
    assert shares(nothing).equal(torch.full((4, 3), 0.25))
    assert shares(nothing, silent=0.0).equal(nothing)
