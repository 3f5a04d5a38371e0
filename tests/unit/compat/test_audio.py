"""Rates, channels and files as demucs handles them."""

from __future__ import annotations

import math

import pytest
import torch

import unbraid
from signals import noise, tone
from unbraid.audio import Audio
from unbraid.compat.demucs.audio import AudioFile, convert_audio, convert_audio_channels, save_audio
from unbraid.errors import AudioError, ShapeError, UsageError

RATE = 8000


@pytest.fixture
def song(tmp_path):
    """Half a second of stereo in 24 bits."""
    path = tmp_path / "song.flac"
    unbraid.write(Audio(tone(4000, rate=RATE) + noise(4000, gain=0.01), RATE), path)
    return path


def test_channels_are_averaged_copied_or_left_out():
    three = torch.arange(6.0).reshape(3, 2)
    assert convert_audio_channels(three, 1).tolist() == [[2.0, 3.0]]
    assert convert_audio_channels(three, 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert convert_audio_channels(three[:1], 2).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert convert_audio_channels(three[None], 3) is not None
    assert convert_audio_channels(torch.zeros(4, 5, 1, 7), 2).shape == (4, 5, 2, 7)
    with pytest.raises(ShapeError, match="2 channels cannot become 3"):
        convert_audio_channels(three[:2], 3)


@pytest.mark.parametrize("to", [4000, 7350, 11025, 44100])
@pytest.mark.parametrize("length", [1, 3999, 8001])
def test_another_rate_has_the_length_that_demucs_gives(to, length):
    import julius

    wanted = julius.resample_frac(torch.zeros(2, length), RATE, to).shape[-1]
    assert convert_audio(torch.zeros(2, length), RATE, to, 2).shape == (2, wanted)


def test_a_tone_stays_a_tone_at_another_rate():
    wav = torch.stack([tone(RATE, rate=RATE), tone(RATE, rate=RATE, hz=700)])
    converted = convert_audio(wav, RATE, 11025, 1)
    assert converted.shape == (2, 1, 11025)
    for track, hz in zip(converted, (440, 700), strict=True):
        difference = track - tone(11025, rate=11025, hz=hz, channels=1)
        assert difference[:, 500:-500].abs().max() < 1e-4


def test_the_same_rate_is_the_same_samples():
    assert torch.equal(convert_audio(noise(50), RATE, RATE, 2), noise(50))


def test_a_file_says_what_it_holds(song):
    file = AudioFile(song)
    assert (file.channels(), file.samplerate(), len(file), file.duration) == (2, RATE, 1, 0.5)
    assert f"{song}, samplerate=8000, channels=2" in repr(file)


def test_a_file_is_read_whole_or_in_part(song):
    whole = unbraid.read(song).samples
    file = AudioFile(song)
    assert torch.equal(file.read(streams=0), whole)
    assert torch.equal(file.read()[0], whole)
    assert torch.equal(file.read(streams=[0])[0], whole)
    part = file.read(seek_time=0.1, duration=0.25, streams=0)
    assert torch.equal(part, whole[:, 800:2800])
    assert torch.equal(file.read(streams=0, channels=1), whole.mean(0, keepdim=True))
    assert file.read(streams=0, samplerate=16000, channels=2, duration=0.25).shape == (2, 4000)


def test_a_file_without_an_exact_length_is_measured(tmp_path, monkeypatch):
    path = tmp_path / "song.mp3"
    unbraid.write(Audio(tone(RATE, rate=RATE), RATE), path)
    file = AudioFile(path)
    monkeypatch.setattr(file, "_info", None)
    assert file.duration == 1.0


def test_only_the_first_stream_is_read(song, tmp_path):
    for asked in (1, [0, 1]):
        with pytest.raises(UsageError, match="the first, 0"):
            AudioFile(song).read(streams=asked)
    with pytest.raises(UsageError, match="the first, 0"):
        AudioFile(song).samplerate(2)
    with pytest.raises(AudioError, match="does not exist"):
        AudioFile(tmp_path / "nothing.wav").read()


@pytest.mark.parametrize(
    ("clip", "peak"),
    [("rescale", 1 / 1.01), ("clamp", 0.99), ("tanh", math.tanh(4)), ("none", 4.0), (None, 4.0)],
)
def test_what_would_clip_is_treated_as_asked(tmp_path, clip, peak):
    loud = 4 * tone(2000, rate=RATE, gain=1.0) / tone(2000, rate=RATE, gain=1.0).abs().max()
    save_audio(loud, tmp_path / "loud.wav", RATE, clip=clip, as_float=True)
    assert unbraid.read(tmp_path / "loud.wav").samples.abs().max().item() == pytest.approx(peak, rel=1e-6)


def test_what_does_not_clip_is_not_rescaled(tmp_path):
    save_audio(noise(100), tmp_path / "quiet.wav", RATE, as_float=True)
    assert torch.equal(unbraid.read(tmp_path / "quiet.wav").samples, noise(100))


@pytest.mark.parametrize(
    ("suffix", "bits", "error"), [("wav", 16, 2**-16), ("flac", 24, 2**-24), ("wav", 32, 0)]
)
def test_samples_have_the_bits_that_were_asked_for(tmp_path, suffix, bits, error):
    path = tmp_path / f"stem.{suffix}"
    save_audio(noise(1000), path, RATE, bits_per_sample=bits)
    assert (unbraid.read(path).samples - noise(1000)).abs().max() <= 1.01 * error


def test_a_lossy_file_has_the_bit_rate_that_was_asked_for(tmp_path):
    sizes = []
    for bitrate in (64, 320):
        save_audio(tone(44100), tmp_path / "stem.mp3", 44100, bitrate, preset=7)
        sizes.append((tmp_path / "stem.mp3").stat().st_size)
    assert sizes[1] > 4 * sizes[0]


def test_silence_and_nothing_are_saved(tmp_path):
    for length in (0, 10):
        save_audio(torch.zeros(2, length), tmp_path / "silence.wav", RATE)
        assert (tmp_path / "silence.wav").stat().st_size >= 44


def test_saving_leaves_the_samples_as_they_are(tmp_path):
    wav = 3 * noise(100)
    for clip in ("rescale", "clamp", "tanh"):
        save_audio(wav, tmp_path / "stem.wav", RATE, clip=clip)
    assert torch.equal(wav, 3 * noise(100))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.xyz", {}, "no format"),
        ("a.wav", {"clip": "hard"}, "rescale, clamp, tanh and none"),
        ("a.flac", {"bits_per_sample": 32}, "16 or 24"),
        ("a.wav", {"bits_per_sample": 8}, "16 or 24 or 32f"),
        ("a.mp3", {"bitrate": 9999}, "8 to 320"),
    ],
)
def test_what_no_file_can_be_is_refused(tmp_path, name, options, words):
    with pytest.raises(UsageError, match=words):
        save_audio(noise(10), tmp_path / name, RATE, **options)
    assert not (tmp_path / name).exists()
