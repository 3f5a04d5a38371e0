"""Distances between spectra: published answers, closed forms, and what each of them cannot hear."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from signals import antiphase, chirp, click, noise, silence, tone
from unbraid.dsp.bands import mel_filters
from unbraid.errors import ShapeError
from unbraid.metrics import frames
from unbraid.metrics.frames import Frames
from unbraid.metrics.spectral import bleedless, fullness, l1_frequency, log_wmse, multi_resolution_stft

RATE = 44100
GOLDEN = Path(__file__).parents[2] / "golden/metrics.npz"
METRICS = {
    "multi_resolution_stft": multi_resolution_stft,
    "l1_frequency": l1_frequency,
    "bleedless": lambda reference, estimate: bleedless(reference, estimate, RATE),
    "fullness": lambda reference, estimate: fullness(reference, estimate, RATE),
    "log_wmse": lambda reference, estimate: log_wmse(reference, estimate, MIXTURE, RATE),
}
PERFECT = dict(zip(METRICS, (0.0, 100.0, 100.0, 100.0, -4 * math.log(1e-8)), strict=True))
MIXTURE = noise(12_000, gain=0.3, seed=5)
SIGNALS = {
    "tone": tone(12_000),
    "noise": noise(12_000),
    "chirp": chirp(12_000),
    "click": click(12_000, at=6000),
    "anti-phase": antiphase(12_000),
    "silence": silence(12_000),
}
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.mark.reference
def test_published_programs_say_the_same(golden):
    references, estimates = torch.from_numpy(golden["pairs"]).double().unbind(1)
    mixture = torch.from_numpy(golden["mixture"]).double()
    found = [
        multi_resolution_stft(references, estimates),
        l1_frequency(references, estimates),
        bleedless(references, estimates, RATE),
        fullness(references, estimates, RATE),
    ]
    published = torch.from_numpy(golden["spectral"]).unbind(-1)
    for ours, theirs in zip(found, published[:4], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=0)
    heard = log_wmse(references, estimates, mixture, RATE)
    # Theirs cut the response of the weighting after 4000 samples.
    torch.testing.assert_close(heard, published[4], rtol=0, atol=3e-3)
    # The first program leaves out errors 68 dB below the mixture and all that sounds after the end.
    torch.testing.assert_close(heard, published[5], rtol=0, atol=0.03)


@pytest.mark.reference
def test_mel_bands_are_those_of_librosa(golden):
    theirs = torch.from_numpy(golden["mel"]).double()
    torch.testing.assert_close(mel_filters(RATE, 4096, 512), theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_perfect_estimate_gets_the_best_number(name, signal):
    found = METRICS[name](SIGNALS[signal], SIGNALS[signal].clone())
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(PERFECT[name], abs=1e-4)


@every_metric
def test_leading_axes_are_kept_apart(metric):
    references = torch.stack([tone(12_000), noise(12_000), silence(12_000)]).view(3, 1, 2, -1)
    estimates = references + 0.1 * noise(12_000, seed=3)
    alone = [metric(*pair) for pair in zip(references[:, 0], estimates[:, 0], strict=True)]
    torch.testing.assert_close(metric(references, estimates), torch.stack(alone).view(3, 1))


@every_metric
def test_blocks_of_frames_do_not_matter(metric, monkeypatch):
    pair = tone(12_000).double(), noise(12_000).double()
    whole = metric(*pair)
    monkeypatch.setattr(frames, "_AT_ONCE", 1)
    torch.testing.assert_close(metric(*pair), whole)


@every_metric
def test_more_of_an_error_is_worse(metric):
    reference, error = tone(12_000), noise(12_000, gain=1.0)
    found = torch.stack([metric(reference, reference + gain * error) for gain in (0.01, 0.03, 0.1, 0.3)])
    falls = found.diff() < 0
    better_is_lower = metric is multi_resolution_stft
    # What is missing does not grow by adding, except where noise happens to cancel sound.
    assert falls.logical_xor(torch.tensor(better_is_lower)).all() or metric is METRICS["fullness"]


@every_metric
def test_a_reversed_sign_is_heard_by_log_wmse_alone(metric):
    reference = chirp(12_000)
    same = torch.isclose(metric(reference, -reference), metric(reference, reference))
    assert same.item() == (metric is not METRICS["log_wmse"])


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.1, 2.0])
def test_a_wrong_gain_has_a_closed_form(gain):
    reference = noise(12_000, gain=0.5)
    turned = gain * reference.double()
    distance = multi_resolution_stft(reference.double(), turned).item()
    assert distance == pytest.approx(abs(gain - 1) + abs(math.log(gain)), rel=1e-6)
    apart = abs(20 * math.log10(gain))
    scores = bleedless(reference.double(), turned, RATE), fullness(reference.double(), turned, RATE)
    assert scores[gain < 1].item() == pytest.approx(100 / (1 + apart), rel=1e-6)
    assert scores[gain > 1].item() == 100


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.25), (0.1, 0.7)])
def test_l1_frequency_of_constants_has_a_closed_form(first, second):
    pair = torch.full((2, 5000), first), torch.full((2, 5000), second)
    apart = abs(first - second) * 2048 / 1025  # without a window all is in the lowest of 1025 bins
    assert l1_frequency(*pair).item() == pytest.approx(100 / (1 + 10 * apart), rel=1e-4)


def test_l1_frequency_favours_quiet_songs():
    reference, estimate = noise(12_000), noise(12_000, seed=1)
    assert l1_frequency(0.01 * reference, 0.01 * estimate) > 2 * l1_frequency(reference, estimate)


def test_silence_is_bleedless_and_the_mixture_is_full():
    reference, rest = tone(12_000), noise(12_000, gain=0.3)
    assert bleedless(reference, silence(12_000), RATE).item() == 100
    assert fullness(reference, silence(12_000), RATE).item() < 5
    assert (
        fullness(reference, reference + rest, RATE).item()
        > bleedless(reference, reference + rest, RATE).item()
    )
    assert bleedless(silence(12_000), rest, RATE).item() < 1
    assert fullness(silence(12_000), rest, RATE).item() == 100


@pytest.mark.parametrize("source", SIGNALS)
@pytest.mark.parametrize("share", [1.0, 0.1, 1e-3])
def test_log_wmse_counts_what_is_left_of_the_mixture(source, share):
    reference = SIGNALS[source]
    found = log_wmse(reference, reference + share * MIXTURE.double(), MIXTURE, RATE)
    assert found.item() == pytest.approx(-4 * math.log(share**2 + 1e-8), abs=1e-5)


def test_log_wmse_does_not_care_how_loud_all_is():
    signals = [tone(12_000).double(), noise(12_000).double(), MIXTURE.double()]
    quiet = log_wmse(*(1e-3 * signal for signal in signals), RATE)
    torch.testing.assert_close(quiet, log_wmse(*signals, RATE))


def test_log_wmse_follows_the_ear():
    def score(hz):
        return log_wmse(silence(RATE), tone(RATE, hz=hz), noise(RATE), RATE).item()

    # By the published description -24 dB at 30 Hz and -31 dB at 20 kHz, with a rise around 3 kHz.
    assert score(30) - score(1000) == pytest.approx(4 * math.log(10) / 10 * (24 + 1.5), abs=0.3)
    assert score(20_000) - score(1000) == pytest.approx(4 * math.log(10) / 10 * (31 + 1.5), abs=0.3)
    assert score(3000) < score(1000)


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000, 96_000])
def test_log_wmse_weighs_a_frequency_alike_at_every_rate(rate):
    def score(at, hz):
        hum, error = tone(at, hz=500, rate=at), tone(at, hz=hz, rate=at, gain=0.05)
        return log_wmse(hum, hum + error, hum, at).item()

    assert score(rate, 3000) == pytest.approx(score(RATE, 3000), abs=0.01)


def test_log_wmse_hears_nothing_above_22_khz():
    hum, error = tone(96_000, hz=500, rate=96_000), tone(96_000, hz=30_000, rate=96_000)
    error *= torch.hann_window(96_000)  # its edges would be heard
    assert log_wmse(hum, hum + error, hum, 96_000).item() > 60


def test_log_wmse_of_a_silent_mixture_is_bad_for_any_sound():
    mute = silence(12_000)
    assert log_wmse(mute, tone(12_000), mute, RATE).item() < -100
    assert log_wmse(mute, mute, mute, RATE).item() == pytest.approx(PERFECT["log_wmse"])


@pytest.mark.parametrize("name", METRICS)
def test_a_silent_channel_is_not_neutral(name, monkeypatch):
    monkeypatch.setitem(globals(), "MIXTURE", MIXTURE[:1])
    alone = METRICS[name](tone(12_000)[:1], noise(12_000)[:1])
    mute = torch.tensor([[1.0], [0.0]])
    monkeypatch.setitem(globals(), "MIXTURE", mute * MIXTURE)
    beside = METRICS[name](mute * tone(12_000), mute * noise(12_000))
    if name == "bleedless":  # the noise is fainter: its floor lies lower, so that nothing seems added
        torch.testing.assert_close(beside, alone)
    else:
        assert (beside > alone) == (name in {"l1_frequency", "log_wmse"})


@every_metric
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_nan_and_infinity_come_out_as_nan(metric, bad, which):
    pair = [tone(12_000), noise(12_000)]
    pair[which][1, 6000] = bad
    assert metric(*pair).isnan()


@pytest.mark.parametrize("length", [0, 1, 100, 2047])
@pytest.mark.parametrize("name", METRICS)
def test_short_signals_have_numbers(name, length, monkeypatch):
    monkeypatch.setitem(globals(), "MIXTURE", MIXTURE[:, :length])
    assert METRICS[name](tone(length), tone(length)).item() == pytest.approx(PERFECT[name], abs=1e-4)


@every_metric
def test_other_shapes_are_refused_with_both(metric):
    with pytest.raises(ShapeError, match=r"\(2, 10\).*\(2, 11\)"):
        metric(tone(10), tone(11))


def test_a_mixture_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"\(1, 10\).*\(4, 2, 10\)"):
        log_wmse(torch.zeros(4, 2, 10), torch.zeros(4, 2, 10), torch.zeros(1, 10), RATE)


@pytest.mark.parametrize("length", [0, 1, 3000, 5000])
def test_frames_are_those_of_torch(length):
    samples = noise(length).double()
    found = torch.cat(list(Frames(512, 128, 400).magnitudes(samples)), -1)
    assert found.shape == (2, 257, length // 128 + 1)
    if length > 256:
        window = torch.hann_window(400, dtype=torch.float64)
        whole = torch.stft(samples, 512, 128, 400, window, pad_mode="reflect", return_complex=True)
        torch.testing.assert_close(found, whole.abs())
