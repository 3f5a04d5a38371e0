from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import signals
from unbraid.audio import Audio
from unbraid.errors import AudioError, MachineError, NonFiniteAudioError, UsageError
from unbraid.io.decode import exact_length
from unbraid.io.ogg import ends_within_page
from unbraid.io.probe import probe
from unbraid.io.read import blocks, read, require_finite
from unbraid.io.source import source_of
from unbraid.io.write import write


def patched(path, at, data):
    """The file with some of its bytes replaced."""
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


# --- what others have written -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "subtype", "bits", "step"),
    [
        ("wav", "PCM_U8", "16", 2**-7),
        ("wav", "PCM_16", "16", 2**-15),
        ("wav", "PCM_24", "24", 2**-23),
        ("wav", "PCM_32", "32f", 2**-24),
        ("wav", "FLOAT", "32f", 0),
        ("wav", "DOUBLE", "32f", 0),
        ("wav", "ULAW", "16", 2**-4),
        ("aiff", "PCM_16", "16", 2**-15),
        ("aiff", "PCM_24", "24", 2**-23),
        ("w64", "PCM_16", "16", 2**-15),
        ("rf64", "PCM_24", "24", 2**-23),
        ("caf", "PCM_16", "16", 2**-15),
        ("flac", "PCM_16", "16", 2**-15),
        ("flac", "PCM_24", "24", 2**-23),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_files_are_read_to_the_sample(tmp_path, suffix, subtype, bits, step, channels):
    samples = signals.noise(70001, channels=channels, gain=0.05)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples.T.numpy(), 11025, subtype=subtype)
    info, found = probe(path), read(path)
    assert (exact_length(info), info.bits, info.sample_rate, info.channels) == (70001, bits, 11025, channels)
    assert (found.samples - samples).abs().max() <= step  # soundfile rounds down


@pytest.mark.parametrize("length", [1, 2, 777, 1024, 30001, 70001])
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libmp3lame", "mp3"),
        ("aac", "mp4"),
        ("aac", "mov"),
        ("libopus", "ogg"),
        ("libopus", "webm"),
        ("alac", "ipod"),
        ("flac", "ogg"),
        ("flac", "matroska"),
        ("pcm_s24le", "mov"),
        ("wavpack", "wv"),
    ],
)
def test_what_ffmpeg_encodes_comes_back_at_its_place(
    tmp_path, encode, band_limited, lag, codec, container, rate, length
):
    if codec == "libopus" and rate != 48000:
        rate = 24000
    if (codec, length < 48) == ("libmp3lame", True) or (container, length < 700) == ("webm", True):
        length += 700  # FFmpeg's own muxers do not tell so short an end
    options = {"movie_timescale": str(rate)} if container in ("mp4", "mov", "ipod") else {}
    samples = band_limited(length)
    path = encode(tmp_path / "a.bin", samples, rate, codec, container, kbps=160, options=options)
    found = read(path)
    times = found.sample_rate // rate
    assert found.length == length * times
    assert exact_length(probe(path)) == found.length
    if length > 1000 and times == 1:
        assert [lag(f, s) for f, s in zip(found.samples, samples, strict=True)] == [0, 0]


@pytest.mark.parametrize("length", [777, 30001, 44100])
def test_an_edit_list_in_milliseconds_takes_no_samples(tmp_path, encode, band_limited, length):
    path = encode(tmp_path / "a.m4a", band_limited(length), 44100, "aac", "ipod", kbps=160)
    assert read(path).length == length


@pytest.mark.parametrize("length", [5000, 30001])
def test_itunes_own_word_for_delay_and_length_is_heard(tmp_path, encode, band_limited, lag, length):
    """ITunes writes no edit list, whole packets, and the truth in a tag of its own."""
    samples = band_limited(length)
    path = encode(tmp_path / "a.m4a", samples, 44100, "aac", "mp4", kbps=160, options={"brand": "M4A "})
    content = bytearray(path.read_bytes().replace(b"edts", b"free"))
    at = content.index(b"stts") + 8  # entries: (count, duration) pairs; the last one is the short packet
    entries = struct.unpack_from(">I", content, at)[0]
    struct.pack_into(">I", content, at + 8 * entries, 1024)
    padding = -(length + 1024) % 1024
    text = f" 00000000 {1024:08X} {padding:08X} {length:016X}".encode()
    atom = box(b"----", full(b"mean", b"com.apple.iTunes"), full(b"name", b"iTunSMPB"), data(text))
    path.write_bytes(with_udta(bytes(content), atom))
    found = read(path)
    assert found.length == length
    assert lag(found.samples[0], samples[0]) == 0


def box(kind, *bodies):
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind, body):
    return box(kind, b"\0\0\0\0", body)


def data(text):
    return box(b"data", struct.pack(">II", 1, 0), text)


def with_udta(content, atom):
    """An MP4 whose last box, moov, has this iTunes tag and no other user data."""
    at = content.rindex(b"moov") - 4
    moov = content[at + 8 :].replace(b"udta", b"free")
    handler = full(b"hdlr", b"\0\0\0\0mdirappl" + bytes(9))
    tags = box(b"udta", full(b"meta", handler + box(b"ilst", atom)))
    return content[:at] + box(b"moov", moov, tags)


@pytest.mark.parametrize(("codec", "container"), [("aac", "mp4"), ("flac", "matroska"), ("pcm_s16le", "avi")])
def test_the_sound_of_a_film_is_read(tmp_path, encode, band_limited, lag, codec, container):
    samples = band_limited(60000)
    path = encode(tmp_path / "film.bin", samples, 44100, codec, container, kbps=160, film=True)
    found = read(path)
    assert found.length == 60000
    assert lag(found.samples[1], samples[1]) == 0
    assert probe(path).cover is None


def test_wma_is_read(tmp_path, encode, band_limited):
    path = encode(tmp_path / "a.wma", band_limited(60000), 44100, "wmav2", "asf", kbps=160)
    info = probe(path)
    assert (info.container, info.codec, info.bits) == ("asf", "wmav2", None)
    assert read(path).length == pytest.approx(60000, abs=4096)  # ASF does not say what its encoder added


def test_vorbis_surround_is_put_in_order(tmp_path):
    """A bare encoder stores left, centre, right, back left, back right, LFE."""
    tones = torch.cat([signals.tone(9000, hz=200 * (1 + index), channels=1) for index in range(6)])
    path = tmp_path / "a.ogg"
    soundfile.write(path, tones.T.numpy(), 48000, format="OGG", subtype="VORBIS")
    found = read(path).samples
    likeness = torch.corrcoef(torch.cat([found, tones]))[:6, 6:].abs()
    assert likeness.argmax(1).tolist() == [0, 2, 1, 5, 3, 4]


def test_a_layout_that_a_file_does_not_tell_is_the_usual_one(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((10, 6), "f4"), 8000)
    assert probe(tmp_path / "a.wav").layout == ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize(
    "name", ["日本語 🎵.wav", "a:b?.wav", "http:x.wav", "-v.wav", "%d.wav", "song.raw", "é́.wav"]
)
def test_any_file_name_will_do(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    samples = signals.noise(500)
    write(Audio(samples, 8000), "plain.wav").rename(name)
    assert torch.equal(read(name).samples, samples)


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are always text")
def test_a_name_that_is_no_text_will_do(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.wav"))
    write(Audio(signals.noise(500), 8000), path)
    assert read(path).length == 500


def test_a_header_without_a_length_is_no_obstacle(tmp_path):
    """As a program writes that pipes its output, or a recorder that crashed."""
    samples = signals.noise(5000)
    for size in (0, 0xFFFFFFFF):
        path = write(Audio(samples, 8000), tmp_path / "a.wav")
        at = path.read_bytes().index(b"data") + 4
        assert torch.equal(read(patched(path, at, struct.pack("<I", size))).samples, samples)


# --- in blocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "ogg", "opus", "m4a"])
def test_blocks_are_the_file_whatever_their_length(tmp_path, name):
    path = write(Audio(signals.noise(30001), 48000), tmp_path / f"a.{name}")
    whole = read(path)
    for length in (1000, 4096, 30001, 65536):
        pieces = list(blocks(path, length=length))
        assert [piece.length for piece in pieces[:-1]] == [length] * (len(pieces) - 1)
        assert 0 < pieces[-1].length <= length
        assert torch.equal(torch.cat([piece.samples for piece in pieces], 1), whole.samples)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "ogg", "opus", "m4a"])
@pytest.mark.parametrize("start", [0.0, 1e-6, 0.1, 0.33333, 0.6])
@pytest.mark.parametrize("duration", [None, 1 / 48000, 0.0201, 10.0])
def test_excerpts_are_cut_to_the_sample(tmp_path, name, start, duration):
    path = write(Audio(signals.noise(30001), 48000), tmp_path / f"a.{name}")
    first = round(start * 48000)
    last = None if duration is None else first + round(duration * 48000)
    found = read(path, start_seconds=start, duration_seconds=duration)
    assert torch.equal(found.samples, read(path).samples[:, first:last])


@pytest.mark.parametrize("name", ["wav", "mp3", "ogg", "opus", "m4a"])
def test_a_start_beyond_the_end_says_where_the_end_is(tmp_path, name):
    path = write(Audio(signals.noise(96000), 48000), tmp_path / f"a.{name}")
    for start in (2.0, 75.5):
        with pytest.raises(UsageError, match=r"ends at 0:02\.000"):
            read(path, start_seconds=start)


@pytest.mark.parametrize(
    ("start", "duration"),
    [
        (-1.0, None),
        (float("nan"), None),
        (float("inf"), None),
        (0.0, 0.0),
        (0.0, -2.0),
        (0.0, float("nan")),
        (0.0, float("inf")),
    ],
)
def test_a_span_of_nothing_or_without_end_is_refused_before_reading(tmp_path, start, duration):
    audio = Audio(signals.noise(100), 48000)
    path = write(audio, tmp_path / "a.wav")
    with pytest.raises(UsageError, match="at least one sample"):
        blocks(path, start_seconds=start, duration_seconds=duration)
    with pytest.raises(UsageError, match=r"the audio in memory .* at least one sample"):
        source_of(audio, start_seconds=start, duration_seconds=duration)


def test_a_start_beyond_the_end_of_samples_in_memory_says_where_the_end_is():
    with pytest.raises(UsageError, match=r"the audio in memory .* ends at 0:00\.002"):
        source_of(Audio(signals.noise(100), 48000), start_seconds=1.0)


# --- what is not right --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"Hello, this is a text.\n" * 500, "is not audio"),
        (bytes(5000), "is not audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "is not audio|holds no audio|neither rate"),
        (b"\xff\xfb\xe0D" + bytes(20), "is not audio|damaged|neither rate"),
        (b"#EXTM3U\n#EXTINF:10,\nhttps://example.org/a.mp3\n", "is not audio"),
        (b"ffconcat version 1.0\nfile other.wav\n", "is not audio"),
    ],
    ids=["empty", "text", "zeros", "stub", "mp3 stub", "playlist", "concat"],
)
def test_what_is_no_audio_is_said_in_one_sentence(tmp_path, content, words):
    (tmp_path / "other.wav").write_bytes(
        write(Audio(signals.noise(9), 8000), tmp_path / "b.wav").read_bytes()
    )
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=words) as caught:
        read(path)
    assert "song.mp3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_holds_no_audio(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    with pytest.raises(AudioError, match="no audio; its streams are video"):
        probe(tmp_path / "a.jpg")


def test_no_samples_are_nothing_to_separate(tmp_path):
    with pytest.raises(AudioError, match="holds no samples"):
        probe(write(Audio(torch.zeros(2, 0), 44100), tmp_path / "a.wav"))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(AudioError, match="does not exist"):
        probe(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        probe(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(AudioError, match="does not exist"):
        probe(tmp_path / "file" / "none.wav")


def test_a_file_that_may_not_be_read_is_the_machines_matter(tmp_path, monkeypatch):
    path = write(Audio(signals.noise(9), 8000), tmp_path / "a.wav")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a mode would not stop root
    with pytest.raises(MachineError, match="may not be read"):
        probe(path)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "FLOAT"), ("rf64", "PCM_24"), ("aiff", "PCM_16"), ("flac", "PCM_16")],
)
def test_a_file_that_was_cut_says_where_it_ends(tmp_path, suffix, subtype):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, signals.noise(80000).T.numpy(), 8000, subtype=subtype)
    os.truncate(path, path.stat().st_size * 32 // 100)
    with pytest.raises(AudioError, match=r"ends at [23]\.\d s of 10\.0 s"):
        read(path)
    assert probe(path).length == 80000
    assert read(path, duration_seconds=1.5).length == 12000


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_an_ogg_that_was_cut_within_a_page_says_where_it_ends(tmp_path, name):
    path = write(Audio(signals.noise(480000), 48000), tmp_path / f"a.{name}")
    whole = path.read_bytes()
    last_page = whole.rindex(b"OggS")
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(AudioError, match=r"ends at [23]\.\d s: the file was cut"):
        read(path)
    assert read(path, duration_seconds=1.5).length == 72000
    for rest in (b"", b"TAG".ljust(128)):  # as a recording of radio ends, and as an old tag follows
        path.write_bytes(whole[:last_page] + rest)
        assert 240000 < read(path).length < 480000


@pytest.mark.parametrize("kept", range(1, 60, 4))
def test_every_cut_within_the_last_page_of_an_ogg_is_seen(tmp_path, kept):
    path = write(Audio(signals.noise(480000), 48000), tmp_path / "a.ogg")
    assert not ends_within_page(path)
    os.truncate(path, path.read_bytes().rindex(b"OggS") + 5 + kept)
    assert ends_within_page(path)


def test_a_codec_that_nobody_knows_is_said_so(tmp_path):
    path = write(Audio(signals.noise(1000), 48000), tmp_path / "a.wav", bits="16")
    patched(path, 20, b"\x34\x12")  # the format's number in the header
    with pytest.raises(AudioError, match=r"a\.wav holds audio of an unknown codec"):
        probe(path)


@pytest.mark.parametrize("at", range(4, 64))
@pytest.mark.parametrize("suffix", ["wav", "aiff", "caf", "flac", "m4a", "ogg", "mp3"])
def test_a_damaged_header_ends_in_samples_or_one_sentence(tmp_path, capfd, suffix, at):
    path = tmp_path / f"a.{suffix}"
    audio = signals.noise(3000, gain=0.05)
    if suffix in ("aiff", "caf"):
        soundfile.write(path, audio.T.numpy(), 44100, subtype="PCM_16")
    else:
        write(Audio(audio, 44100), path)
    patched(path, at, b"\xff")
    with contextlib.suppress(AudioError):
        assert torch.isfinite(read(path).samples).all()
    assert capfd.readouterr() == ("", "")  # no trace from within a decoder


def test_an_mp3_that_was_cut_says_where_it_ends(tmp_path):
    path = write(Audio(signals.noise(160000), 16000), tmp_path / "a.mp3")
    size = path.stat().st_size
    os.truncate(path, size * 32 // 100)
    with pytest.raises(AudioError, match=r"ends at 3\.\d s of 10\.0 s"):
        read(path)


def test_an_mp3_without_its_last_bytes_is_read(tmp_path):
    path = write(Audio(signals.noise(160000), 16000), tmp_path / "a.mp3")
    os.truncate(path, path.stat().st_size - 100)
    assert read(path).length == pytest.approx(160000, abs=1152)


def test_damage_in_an_mp3_is_placed(tmp_path):
    path = write(Audio(signals.noise(480000), 48000), tmp_path / "a.mp3")
    patched(path, path.stat().st_size // 2, bytes(3000))
    with pytest.raises(AudioError, match=r"damaged or ends at [45]\.\d s of 10\.0 s"):
        read(path)


def test_an_m4a_that_was_cut_is_refused(tmp_path):
    path = write(Audio(signals.noise(96000), 48000), tmp_path / "a.m4a")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(AudioError):
        read(path)


def test_a_header_that_counts_itself_is_forgiven(tmp_path):
    path = write(Audio(signals.noise(5000), 8000), tmp_path / "a.wav", bits="16")
    at = path.read_bytes().index(b"data") + 4
    assert read(patched(path, at, struct.pack("<I", 5000 * 4 + 44))).length == 5000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_sample_that_is_no_number_is_named_with_its_time(tmp_path, value):
    samples = signals.noise(160000)
    samples[1, 100000] = value
    path = tmp_path / "a.wav"
    soundfile.write(path, samples.T.numpy(), 1000, subtype="FLOAT")
    with pytest.raises(NonFiniteAudioError, match=r"a\.wav .* at 1:40\.000 \(sample 100000\)"):
        read(path)
    with pytest.raises(NonFiniteAudioError, match=r"at 1:40\.000 \(sample 100000\)"):
        list(blocks(path, length=777, start_seconds=60.0))
    assert read(path, duration_seconds=99.0).length == 99000


def test_finite_samples_pass(rng):
    require_finite(torch.randn(2, 100, generator=rng), "it", offset=0, sample_rate=8000)
    require_finite(torch.zeros(2, 0), "it", offset=0, sample_rate=8000)
