from __future__ import annotations

import pytest
import torch

import signals
from unbraid.metrics.ratios import sdr
from unbraid.networks.classical.hpss import Config, Hpss

RATE = 44100


def clicks(length, *, every):
    samples = signals.silence(length)
    samples[:, every // 2 :: every] = 0.9
    return samples


@pytest.mark.parametrize("hz", [200.0, 440.0, 5000.0])
def test_a_tone_is_harmonic_and_clicks_are_percussive(hz):
    tone, hits = signals.tone(3 * RATE, hz=hz), clicks(3 * RATE, every=RATE // 2)
    harmonic, percussive = Hpss(Config())((tone + hits)[None])[0]
    inside = slice(4096, -4096)  # a tone begins and ends with a hit
    assert sdr(tone[:, inside], harmonic[:, inside]) > 30
    assert sdr(hits[:, inside], percussive[:, inside]) > 15


def test_with_a_margin_noise_is_neither():
    config = Config(sources=("harmonic", "percussive", "residual"), margin=2.0)
    for signal, index in ((signals.tone(2 * RATE), 0), (signals.noise(2 * RATE), 2)):
        energy = Hpss(config)(signal[None])[0].square().sum((1, 2))
        assert energy.argmax() == index
        assert energy[index] > 0.75 * energy.sum()


def test_the_greater_the_margin_the_more_is_neither():
    mixture = signals.noise(RATE)[None] + 0.1 * signals.tone(RATE)[None]
    left = [
        Hpss(Config(sources=("a", "b", "c"), margin=margin))(mixture)[0, 2].norm().item()
        for margin in (1.1, 1.5, 2.0, 4.0)
    ]
    assert left == sorted(left)
    assert left[-1] > 1.3 * left[0]


def test_turned_by_a_right_angle_tones_are_hits(rng):
    spectrum = torch.rand(1, 40, 40, generator=rng) + 0j
    config = Config(harmonic_frames=9, percussive_bins=9)
    masks, turned = Hpss(config).masks(spectrum), Hpss(config).masks(spectrum.mT)
    assert turned.mT.flip(0).equal(masks)
