"""Every format: what goes in comes out, at its place, at its length, with its names."""

from __future__ import annotations

import pytest
import soundfile
import torch

import signals
from unbraid.audio import Audio
from unbraid.io.decode import exact_length
from unbraid.io.formats import FORMATS, OutputFormat
from unbraid.io.layouts import default_layout
from unbraid.io.probe import probe
from unbraid.io.read import read
from unbraid.io.resample import resampled_length
from unbraid.io.write import Writer, quantized, write

LOSSY = [name for name, kind in FORMATS.items() if kind.bitrates]
LOSSLESS = [(name, bits) for name, kind in FORMATS.items() for bits in kind.bits]
TAGS = {
    "title": "Tïtle 音 🎵",
    "artist": "Artist",
    "album": "Album",
    "album_artist": "Various",
    "composer": "Composer",
    "date": "2020-01-02",
    "track": "3/9",
    "disc": "1/2",
    "genre": "Rock",
    "comment": "vocals by unbraid",
}


def save(path, samples, rate=44100, *, bits=None, layout=None, tags=(), cover=None, block=1000):
    """Write in blocks, as stems are written."""
    with Writer(
        path,
        OutputFormat(path.suffix[1:], bits),
        sample_rate=rate,
        channels=samples.shape[0],
        layout=layout,
        length=samples.shape[1],
        tags=dict(tags),
        cover=cover,
    ) as writer:
        for start in range(0, samples.shape[1], block):
            writer.write(samples[:, start : start + block])
    return path


@pytest.mark.parametrize(("name", "bits"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_lossless_formats_keep_every_sample_they_can_hold(tmp_path, name, bits, channels, rate):
    for length in (1, 2, 4097):
        exact = torch.from_numpy(quantized(signals.noise(length, channels=channels).numpy(), 16)) / 2.0**15
        found = read(save(tmp_path / f"a.{name}", exact, rate, bits=bits))
        assert found.sample_rate == rate
        assert torch.equal(found.samples, exact)


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_keep_length_and_place(tmp_path, band_limited, lag, name, rate, channels):
    for length in (1, 777, 1152, 30001):
        samples = band_limited(length, channels=channels)
        found = read(save(tmp_path / f"a.{name}", samples, rate))
        assert found.length == resampled_length(length, rate, found.sample_rate)
        assert found.sample_rate == rate or name == "opus"
        if length > 10_000 and found.sample_rate == rate:
            assert [lag(f, s) for f, s in zip(found.samples, samples, strict=True)] == [0] * channels
            error = (found.samples - samples).square().sum() / samples.square().sum()
            assert 10 * error.log10() < -15


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 37800, 88200, 96000, 192000])
def test_a_rate_that_the_encoder_does_not_take_becomes_the_nearest(tmp_path, band_limited, name, rate):
    for length in (1, 100, 5001):
        found = read(save(tmp_path / f"a.{name}", band_limited(length), rate))
        assert found.sample_rate == FORMATS[name].nearest_rate(rate)
        assert found.length == max(1, resampled_length(length, rate, found.sample_rate))


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.channels >= 8])
@pytest.mark.parametrize("channels", range(1, 9))
def test_every_channel_comes_back_at_its_loudspeaker(tmp_path, name, channels):
    # Tones low enough for the loudspeaker that codecs keep below 120 Hz.
    tones = torch.cat([signals.tone(9000, hz=40 + 10 * index, channels=1) for index in range(channels)])
    bits = FORMATS[name].bits[0] if FORMATS[name].bits else None
    path = save(tmp_path / f"a.{name}", tones, 48000, bits=bits)
    found = read(path).samples
    assert probe(path).layout == default_layout(channels)
    likeness = torch.corrcoef(torch.cat([tones, found]))[:channels, channels:].abs()
    assert likeness.argmax(1).tolist() == list(range(channels))
    assert likeness.diag().min() > 0.97


@pytest.mark.parametrize("name", ["wav", "flac"])
@pytest.mark.parametrize(
    "layout",
    [("FL", "FR", "FC", "LFE", "SL", "SR"), ("FL", "FR", "FC", "BC"), ("FL", "FR", "LFE")],
    ids="-".join,
)
def test_unusual_layouts_are_kept_where_the_container_can_say_them(tmp_path, name, layout):
    samples = signals.noise(500, channels=len(layout))
    assert probe(save(tmp_path / f"a.{name}", samples, bits="16", layout=layout)).layout == layout


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_tags_and_cover_come_back(tmp_path, request, name, kind):
    cover = request.getfixturevalue(kind)
    bits = FORMATS[name].bits[0] if FORMATS[name].bits else None
    for length in (1, 40000):
        path = save(tmp_path / f"a.{name}", signals.noise(length), 48000, bits=bits, tags=TAGS, cover=cover)
        info = probe(path)
        assert dict(info.tags) == TAGS
        assert info.cover == cover
        assert read(path).length == length


@pytest.mark.parametrize("name", FORMATS)
def test_a_cover_that_is_no_picture_is_left_out(tmp_path, name):
    bits = FORMATS[name].bits[0] if FORMATS[name].bits else None
    path = save(tmp_path / f"a.{name}", signals.noise(5000), bits=bits, cover=b"not a picture at all")
    assert probe(path).cover is None
    assert read(path).length == resampled_length(5000, 44100, read(path).sample_rate)


@pytest.mark.parametrize("name", ["mp3", "ogg", "opus", "m4a"])
def test_the_bit_rate_is_about_what_was_asked_for(tmp_path, name):
    samples = signals.noise(5 * 48000)
    for kbps in (96, 192):
        path = write(Audio(samples, 48000), tmp_path / f"a.{name}", bitrate_kbps=kbps)
        assert path.stat().st_size * 8 / 5 / 1000 == pytest.approx(kbps, rel=0.35)


@pytest.mark.parametrize(
    "samples",
    [signals.silence(3000), signals.constant(3000), signals.clipped(3000), signals.antiphase(3000)],
    ids=["silence", "constant", "clipped", "antiphase"],
)
@pytest.mark.parametrize("name", FORMATS)
def test_odd_signals_are_signals(tmp_path, name, samples):
    found = read(write(Audio(samples, 48000), tmp_path / f"a.{name}")).samples
    assert found.shape == samples.shape
    if name in ("wav", "flac"):
        assert (found - samples).abs().max() <= (0 if name == "wav" else 2.0**-23)


def test_float_is_untouched_beyond_full_scale(tmp_path, rng):
    loud = 40 * torch.randn(2, 70001, generator=rng)
    path = write(Audio(loud, 44100), tmp_path / "a.wav")
    assert torch.equal(read(path).samples, loud)
    assert probe(path).bits == "32f"


@pytest.mark.parametrize(("bits", "subtype"), [("16", "PCM_16"), ("24", "PCM_24"), ("32f", "FLOAT")])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_our_wav_is_a_wav_to_others(tmp_path, bits, subtype, channels):
    samples = signals.noise(5001, channels=channels)
    path = save(tmp_path / "a.wav", samples, bits=bits, tags=TAGS)
    found, rate = soundfile.read(path, dtype="float64", always_2d=True)
    assert (rate, soundfile.info(path).subtype) == (44100, subtype)
    assert abs(found.T - samples.double().numpy()).max() <= (
        0 if bits == "32f" else 0.5000001 / 2 ** (int(bits) - 1)
    )


def test_equal_audio_gives_equal_bytes(tmp_path):
    samples = signals.noise(5000)
    one, other = (
        save(tmp_path / f"{name}.wav", samples, bits="24", block=size)
        for name, size in (("a", 7), ("b", 5000))
    )
    assert one.read_bytes() == other.read_bytes()


def test_ogg_audio_is_the_same_with_and_without_comments(tmp_path, png):
    samples = signals.noise(90000)
    for name in ("ogg", "opus"):
        bare = read(save(tmp_path / f"a.{name}", samples, 48000))
        dressed = read(save(tmp_path / f"b.{name}", samples, 48000, tags=TAGS, cover=png))
        assert torch.equal(bare.samples, dressed.samples)


def test_the_length_of_a_stream_that_does_not_tell_is_found_by_decoding(tmp_path):
    for name, told in (("opus", False), ("m4a", False), ("mp3", True), ("ogg", True), ("flac", True)):
        info = probe(write(Audio(signals.noise(30001), 48000), tmp_path / f"a.{name}"))
        assert (info.length is not None) is told
        assert exact_length(info) == 30001
        assert info.duration_seconds == pytest.approx(30001 / 48000, abs=0.01)
