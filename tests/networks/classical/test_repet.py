from __future__ import annotations

import numpy as np
import pytest
import torch

from reference import slow_repeating
from unbraid.metrics.ratios import sdr
from unbraid.networks.classical.repet import Config, Repet, beat_spectrum, repeating
from unbraid.networks.classical.repet_sim import Config as SimConfig
from unbraid.networks.classical.repet_sim import RepetSim, recurring

SHORT = {"sample_rate": 8000, "n_fft": 128, "hop_length": 64, "low_hz": 0.0}


def loops(frames, period, rng, *, channels=2, bins=20):
    """A spectrogram that repeats itself exactly."""
    one = torch.rand(channels, bins, period, generator=rng, dtype=torch.float64)
    return one.repeat(1, 1, -(-frames // period))[..., :frames]


def test_the_beat_spectrum_is_that_of_the_slow_twin(rng):
    magnitude = torch.rand(2, 6, 37, generator=rng, dtype=torch.float64)
    slow = slow_repeating.beat_spectrum(magnitude.mean(0).numpy())
    np.testing.assert_allclose(beat_spectrum(magnitude), slow, rtol=1e-10)


@pytest.mark.parametrize("period", [1, 5, 18, 36, 37])
def test_what_repeats_is_that_of_the_slow_twin(period, rng):
    magnitude = torch.rand(1, 6, 37, generator=rng, dtype=torch.float64)
    slow = slow_repeating.repeating(magnitude[0].numpy(), period)
    np.testing.assert_array_equal(repeating(magnitude, period)[0], slow)


@pytest.mark.parametrize(("neighbours", "distance"), [(1, 1), (4, 3), (9, 10), (10, 14)])
def test_what_recurs_is_that_of_the_slow_twin(neighbours, distance, rng):
    magnitude = torch.rand(1, 6, 37, generator=rng, dtype=torch.float64)
    slow = slow_repeating.recurring(magnitude[0].numpy(), neighbours, distance)
    np.testing.assert_allclose(recurring(magnitude, neighbours, distance)[0], slow, rtol=1e-12)


@pytest.mark.parametrize("frames", [100, 137])
@pytest.mark.parametrize("period", [7, 13, 24, 33])
def test_the_period_of_a_loop_is_found(period, frames, rng):
    # Frames are 8 ms apart; a range that holds the period once tells it from its multiples.
    config = Config(
        **SHORT, shortest_period=0.008 * (period // 2 + 1), longest_period=0.008 * (2 * period - 1)
    )
    assert Repet(config).period(loops(frames, period, rng)) == period


@pytest.mark.parametrize("channels", [1, 2])
def test_a_loop_is_all_accompaniment_and_what_comes_once_is_all_voice(channels, rng):
    background = loops(120, 12, rng, channels=channels)
    voice = torch.zeros_like(background)
    voice[:, 3:9, 40:50] = 2.0
    found = repeating(background + voice, 12)
    torch.testing.assert_close(found, background, rtol=0, atol=0)


def test_a_click_track_is_told_from_a_sweep():
    beat = torch.zeros(1, 8000 * 4)
    beat[:, ::4000] = 1.0
    beat = torch.nn.functional.conv1d(
        beat[None], torch.randn(1, 1, 301, generator=torch.Generator().manual_seed(3)), padding=150
    )[0]
    time = torch.arange(beat.shape[1]) / 8000
    sweep = 0.3 * torch.sin(2 * torch.pi * (300 * time + 200 * time.square())).unsqueeze(0)
    config = Config(**SHORT, audio_channels=1, shortest_period=0.2, longest_period=1.2)
    voice, accompaniment = Repet(config)((beat + sweep)[None])[0]
    assert sdr(sweep, voice) > 8
    assert sdr(beat, accompaniment) > 8


def test_where_nothing_can_repeat_all_is_accompaniment():
    mixture = torch.randn(1, 2, 8000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for network in (Repet(Config(**SHORT)), RepetSim(SimConfig(**SHORT))):
        voice, accompaniment = network(mixture)[0]
        assert not voice.any()
        torch.testing.assert_close(accompaniment, mixture[0], rtol=0, atol=1e-12)


def test_a_chord_that_comes_back_any_time_is_accompaniment(rng):
    chords = torch.rand(20, 3, generator=rng, dtype=torch.float64)
    order = torch.randint(3, (90,), generator=rng)
    background = chords[:, order].unsqueeze(0)
    voice = torch.zeros_like(background)
    voice[:, 5, 30:34] = 0.2
    found = recurring(background + voice, neighbours=9, distance=4)
    torch.testing.assert_close(found, background, rtol=0, atol=1e-12)


def test_low_frequencies_are_accompaniment():
    options = {**SHORT, "low_hz": 500.0, "audio_channels": 1, "shortest_period": 0.1, "longest_period": 1.0}
    mixture = torch.randn(1, 1, 16000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = Repet(Config(**options))
    masks = network.masks(network.stft(mixture[0]))
    low = network.config.bins_below(500.0)
    assert low == 8
    assert masks[1, :, :low].eq(1).all()
    assert masks[1, :, low:].lt(1).any()
