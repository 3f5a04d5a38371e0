"""Mixes: what several flows become, whatever the blocks they come in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unbraid.engine.blend import Blend
from unbraid.engine.mix import Domain, Mean, Rule, Voice, VoiceMix
from unbraid.errors import PlanError


class Given:
    """A flow that gives what it was told to, a little late."""

    def __init__(self, estimates, delay=0):
        self.estimates, self.delay = estimates, delay
        self.heard = self.given = 0

    def push(self, block):
        self.heard += block.shape[-1]
        return self.upto(max(self.given, self.heard - self.delay))

    def finish(self):
        return self.upto(self.heard)

    def upto(self, end):
        start, self.given = self.given, end
        return self.estimates[..., start:end]


def blended(flows, mix, block):
    length = flows[0].estimates.shape[-1]
    blend = Blend(flows, mix)
    parts = [blend.push(torch.zeros(2, min(block, length - start))) for start in range(0, length, block)]
    return torch.cat([*parts, blend.finish()], -1)


def voices(count, *, sources=("a", "b"), weights=None):
    return {
        source: [Voice(flow, row, weights[flow] if weights else 1.0) for flow in range(count)]
        for row, source in enumerate(sources)
    }


@pytest.fixture
def estimates(rng):
    return torch.randn(3, 2, 2, 10_000, generator=rng)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("domain", Domain)
@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 2048, 5000])
def test_flows_that_agree_are_what_they_agree_on(rng, rule, domain, length):
    same = torch.randn(2, 2, length, generator=rng)
    mixed = blended([Given(same), Given(same, 700)], VoiceMix(voices(2), rule, domain), 512)
    assert mixed.shape == same.shape
    torch.testing.assert_close(mixed, same, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("domain", Domain)
@pytest.mark.parametrize("block", [1, 37, 1024, 3000])
def test_blocks_and_delays_never_change_a_mix(estimates, rule, domain, block):
    short = estimates[..., :3000]
    whole = blended([Given(one) for one in short], VoiceMix(voices(3), rule, domain), 3000)
    parts = [Given(one, delay) for one, delay in zip(short, (0, 100, 999), strict=True)]
    assert blended(parts, VoiceMix(voices(3), rule, domain), block).equal(whole)


@pytest.mark.parametrize("count", [2, 3])
def test_the_waveform_rules_are_those_of_numpy(estimates, count):
    chosen = estimates[:count]
    array = chosen.double().numpy()
    nearest = np.take_along_axis(array, np.abs(array).argmin(0)[None], 0)[0]
    farthest = np.take_along_axis(array, np.abs(array).argmax(0)[None], 0)[0]
    expected = {
        Rule.MEAN: array.mean(0),
        Rule.MEDIAN: np.median(array, 0),
        Rule.MIN: nearest,
        Rule.MAX: farthest,
    }
    for rule in Rule:
        mixed = blended([Given(one) for one in chosen], VoiceMix(voices(count), rule), 4096)
        np.testing.assert_allclose(mixed.numpy(), expected[rule], atol=1e-6)


@pytest.mark.parametrize("rule", [Rule.MEDIAN, Rule.MIN, Rule.MAX])
def test_the_spectral_rules_are_those_of_a_whole_track(estimates, rule):
    """The twin transforms everything at once, by torch's own centred transform."""
    window = torch.hann_window(2048, dtype=torch.float64)
    options = {"n_fft": 2048, "hop_length": 1024, "window": window, "center": True}
    padded = torch.nn.functional.pad(estimates.double(), (0, 2048))
    flat = torch.stft(padded.flatten(0, 2), **options, pad_mode="constant", return_complex=True)
    spectra = flat.unflatten(0, padded.shape[:3]).numpy()
    if rule is Rule.MEDIAN:
        chosen = np.median(spectra.real, 0) + 1j * np.median(spectra.imag, 0)
    else:
        order = np.abs(spectra).argmin(0) if rule is Rule.MIN else np.abs(spectra).argmax(0)
        chosen = np.take_along_axis(spectra, order[None], 0)[0]
    expected = torch.istft(torch.from_numpy(chosen).flatten(0, 1), **options, length=10_000)
    mixed = blended([Given(one) for one in estimates], VoiceMix(voices(3), rule, Domain.SPECTRUM), 1000)
    torch.testing.assert_close(mixed.double().flatten(0, 1), expected, rtol=0, atol=1e-6)


def test_the_mean_is_the_same_in_both_domains(estimates):
    mixes = [VoiceMix(voices(3, weights=[1, 2, 0.5]), Rule.MEAN, domain) for domain in Domain]
    results = [blended([Given(one) for one in estimates], mix, 777) for mix in mixes]
    assert results[0].equal(results[1])
    expected = (estimates[0] + 2 * estimates[1] + 0.5 * estimates[2]) / 3.5
    torch.testing.assert_close(results[0], expected, rtol=0, atol=1e-6)


def test_each_source_has_voices_of_its_own(estimates):
    mix = VoiceMix({"b": [Voice(0, 1, 1.0)], "a": [Voice(1, 0, 2.0), Voice(2, 0, 2.0)]})
    mixed = blended([Given(one) for one in estimates], mix, 4000)
    assert mixed[0].equal(estimates[0, 1])
    torch.testing.assert_close(mixed[1], (estimates[1, 0] + estimates[2, 0]) / 2, rtol=0, atol=1e-6)


def test_one_voice_is_left_as_it_is(estimates):
    mix = VoiceMix({"a": [Voice(0, 0, 0.3)]}, Rule.MIN, Domain.WAVEFORM)
    assert blended([Given(estimates[0])], mix, 100)[0].equal(estimates[0, 0])


def test_a_source_without_a_voice_is_refused():
    with pytest.raises(PlanError, match="of b it has no model"):
        VoiceMix({"a": [Voice(0, 0, 1.0)], "b": []})


def test_shifts_are_the_mean_of_equals(estimates):
    same = [Given(estimates[0]) for _ in range(3)]
    assert blended(same, Mean(), 500).equal(estimates[0])
