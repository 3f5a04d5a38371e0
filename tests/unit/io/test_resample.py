from __future__ import annotations

import pytest
import torch

import signals
from unbraid.audio import Audio
from unbraid.io.resample import Resampler, resample, resampled_length

RATES = [
    (48000, 44100),
    (44100, 48000),
    (8000, 44100),
    (192000, 44100),
    (22050, 44100),
    (37800, 44100),
    (44100, 8000),
]


def converted(samples, from_rate, to_rate, *, block=None, length=None):
    resampler = Resampler(from_rate, to_rate, samples.shape[0], length=length)
    pieces = [resampler.push(piece) for piece in samples.split(block or max(1, samples.shape[1]), 1)]
    return torch.cat([*pieces, resampler.finish()], 1)


def snr_db(found, wanted):
    error = (found.double() - wanted.double()).square().sum()
    return float(10 * (wanted.double().square().sum() / error).log10())


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_the_length_is_the_nearest_whole_number(from_rate, to_rate):
    for length in (0, 1, 2, 3, 10, 101, 12345):
        samples = signals.noise(length)
        assert converted(samples, from_rate, to_rate).shape == (
            2,
            resampled_length(length, from_rate, to_rate),
        )
        assert abs(resampled_length(length, from_rate, to_rate) - length * to_rate / from_rate) <= 0.5


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("block", [1, 7, 1000, 4096])
def test_blocks_never_change_a_bit(from_rate, to_rate, block):
    samples = signals.noise(9001)
    assert torch.equal(
        converted(samples, from_rate, to_rate, block=block), converted(samples, from_rate, to_rate)
    )


@pytest.mark.parametrize("length", [0, 1, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rates_pass_the_very_samples(length, dtype):
    samples = signals.noise(length).to(dtype)
    resampler = Resampler(44100, 44100, 2)
    assert torch.equal(resampler.push(samples), samples)
    assert resampler.finish().shape == (2, 0)
    assert torch.equal(resample(Audio(samples, 44100), 44100).samples, samples)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 100, 44101, 100_000])
@pytest.mark.parametrize("model_rate", [44100, 48000, 16000])
@pytest.mark.parametrize("rate", [48000, 44100, 96000, 22050])
def test_there_and_back_gives_every_sample_its_place(length, model_rate, rate):
    samples = signals.noise(length)
    there = converted(samples, rate, model_rate, block=4096)
    assert converted(there, model_rate, rate, block=4096, length=length).shape == (2, length)


@pytest.mark.parametrize("length", [20_001, 48_000, 100_003])
@pytest.mark.parametrize("model_rate", [44100, 96000])
def test_there_and_back_is_transparent_and_aligned(band_limited, lag, length, model_rate):
    """Noise up to 16 kHz that fades at both ends, as a filter cannot know what is beyond them."""
    fade = torch.linspace(0, 1, 2000).clamp(0, 1)
    samples = band_limited(length, share=16 / 24)
    samples[:, :2000] *= fade
    samples[:, -2000:] *= fade.flip(0)
    there = converted(samples, 48000, model_rate, block=10_000)
    back = converted(there, model_rate, 48000, block=3001, length=length)
    assert snr_db(back, samples) > 90
    assert lag(back[0], samples[0]) == 0


def test_a_tone_is_the_same_tone_at_the_other_rate():
    found = converted(signals.tone(48000, hz=1000, rate=48000), 48000, 44100)
    wanted = signals.tone(44100, hz=1000, rate=44100)
    inner = slice(2000, -2000)
    assert snr_db(found[:, inner], wanted[:, inner]) > 100


@pytest.mark.parametrize("extra", [-500, -1, 0, 1, 500])
@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 44100), (44100, 44100)])
def test_a_length_that_was_asked_for_is_given(from_rate, to_rate, extra):
    samples = signals.noise(5000)
    natural = resampled_length(5000, from_rate, to_rate)
    for block in (100, 5000):
        found = converted(samples, from_rate, to_rate, block=block, length=natural + extra)
        assert found.shape == (2, natural + extra)
        shared = min(natural, natural + extra) - 200  # the filter's tail is where more or nothing follows
        assert torch.allclose(
            found[:, :shared], converted(samples, from_rate, to_rate)[:, :shared], atol=1e-6
        )


def test_silence_stays_silence_and_nothing_stays_nothing():
    assert not converted(signals.silence(1000), 48000, 44100).any()
    assert converted(signals.silence(0), 48000, 44100).shape == (2, 0)


def test_resampled_audio_knows_its_rate():
    audio = resample(Audio(signals.noise(4800), 48000), 44100)
    assert (audio.sample_rate, audio.length) == (44100, 4410)
