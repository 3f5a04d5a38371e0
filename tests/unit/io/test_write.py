from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import signals
from unbraid.audio import Audio
from unbraid.errors import MachineError, NonFiniteAudioError, ShapeError, UsageError
from unbraid.io import wav
from unbraid.io.formats import FORMATS, OutputFormat
from unbraid.io.probe import probe
from unbraid.io.read import read
from unbraid.io.write import Writer, quantized, write


def writer(path, *, length=5000, channels=2, rate=48000, bits=None, layout=None):
    name = path.suffix[1:]
    kinds = FORMATS[name].bits
    return Writer(
        path,
        OutputFormat(name, bits or (kinds[0] if kinds else None)),
        sample_rate=rate,
        channels=channels,
        layout=layout,
        length=length,
        tags={"title": "Song"},
        cover=None,
    )


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- whole numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("name", ["wav", "flac"])
def test_every_whole_number_of_16_bits_and_the_edges_of_24_come_back(tmp_path, name, bits):
    full = 2 ** (bits - 1)
    steps = np.concatenate([np.arange(-(2**15), 2**15), [-full, -full + 1, full - 2, full - 1]])
    samples = torch.from_numpy(steps / full)[None]  # float64, as rounded stems are
    path = tmp_path / f"a.{name}"
    with writer(path, length=samples.shape[1], channels=1, bits=str(bits)) as file:
        file.write(samples)
    assert torch.equal(read(path).samples.double(), samples)


@pytest.mark.parametrize("bits", [16, 24])
def test_rounding_is_to_the_nearest_halves_to_even_and_saturates(bits):
    full = 2.0 ** (bits - 1)
    steps = np.array(
        [0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -0.51, full - 1.5, full - 0.6, full, 9 * full, -full, -9 * full]
    )
    wanted = [0, 2, 2, 0, -2, 0, -1, full - 2, full - 1, full - 1, full - 1, -full, -full]
    found = quantized(steps[:, None] / full, bits)[:, 0] / (1 if bits == 16 else 256)
    assert found.tolist() == wanted


def test_rounding_never_errs_by_more_than_half_a_step(rng):
    samples = torch.rand(1000, 2, generator=rng, dtype=torch.float64).numpy() * 1.9 - 0.95
    for bits in (16, 24):
        error = quantized(samples, bits) / (1 if bits == 16 else 256) / 2.0 ** (bits - 1) - samples
        assert abs(error).max() <= 0.5 / 2 ** (bits - 1)


# --- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", ["16", "24", "32f"])
@pytest.mark.parametrize("length", [0, 1, 4999])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_beyond_32_bits_become_rf64(tmp_path, monkeypatch, bits, length, channels):
    monkeypatch.setattr(wav, "RIFF_LIMIT", 50)
    samples = signals.noise(length, channels=channels)
    path = tmp_path / "a.wav"
    with writer(path, length=length, channels=channels, bits=bits) as file:
        file.write(samples)
    content = path.read_bytes()
    assert content[:8] == b"RF64\xff\xff\xff\xff"
    assert struct.unpack_from("<Q", content, 20)[0] == len(content) - 8
    if length:
        assert (read(path).samples - samples).abs().max() <= 2.0**-16
        assert dict(probe(path).tags) == {"title": "Song"}


def test_a_file_of_six_gigabytes_is_read_at_its_end(tmp_path):
    length = 6 * 2**30 // 8
    header = wav._header(
        wav._format("32f", 48000, ("FL", "FR")), is_float=True, length=length, size=8 * length, after=0
    )
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 8 * length - 8)  # all but nothing of it is really on the disk
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<ff", 0.25, -0.5))
    assert probe(path).length == length
    tail = read(path, start_seconds=(length - 100) / 48000)
    assert tail.length == 100
    assert tail.samples[:, -1].tolist() == [0.25, -0.5]
    assert tail.samples[:, :-1].abs().max() == 0


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_of_any_size_make_the_same_file(tmp_path, name):
    samples = signals.noise(200_000)
    found = []
    for size in (997, 65536, 200_000):
        path = tmp_path / f"{size}.{name}"
        with writer(path, length=200_000, rate=96000) as file:
            for start in range(0, 200_000, size):
                file.write(samples[:, start : start + size])
        found.append(read(path).samples)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


# --- whole or not at all ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("written", [0, 3000, 5000])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_nothing(tmp_path, name, written, error):
    with pytest.raises(error), writer(tmp_path / "new" / "folder" / f"a.{name}") as file:  # noqa: PT012
        file.write(signals.noise(written))
        raise error
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_an_interruption_leaves_what_was_there(tmp_path, name):
    path = tmp_path / f"a.{name}"
    path.write_bytes(b"an older stem")
    with pytest.raises(KeyboardInterrupt), writer(path):
        raise KeyboardInterrupt
    assert everything_in(tmp_path) == [f"a.{name}"]
    assert path.read_bytes() == b"an older stem"
    write(Audio(signals.noise(5000), 48000), path)
    assert read(path).length == 5000
    assert everything_in(tmp_path) == [f"a.{name}"]


def test_a_file_has_the_rights_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").write_text("x")
    path = write(Audio(signals.noise(10), 8000), tmp_path / "a.wav")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_abort_after_close_keeps_the_file(tmp_path):
    file = writer(tmp_path / "folder" / "a.wav")
    file.write(signals.noise(5000))
    path = file.close()
    file.abort()
    assert read(path).length == 5000


@pytest.mark.parametrize("name", FORMATS)
def test_fewer_samples_than_announced_make_no_file(tmp_path, name):
    file = writer(tmp_path / f"a.{name}")
    file.write(signals.noise(4999))
    with pytest.raises(ShapeError, match="announced with 5000 samples; 4999 were given"):
        file.close()
    assert everything_in(tmp_path) == []


def test_more_samples_than_announced_and_other_channels_are_refused(tmp_path):
    with pytest.raises(ShapeError, match="more were given"), writer(tmp_path / "a.wav") as file:
        file.write(signals.noise(5001))
    with pytest.raises(ShapeError, match="has 2 channels"), writer(tmp_path / "a.wav") as file:
        file.write(signals.noise(10, channels=3))
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_number_is_not_written(tmp_path, name):
    samples = signals.noise(48000)
    samples[0, 24000] = float("nan")
    with pytest.raises(NonFiniteAudioError, match=r"at 0:00\.500 \(sample 24000\)"):
        write(Audio(samples, 48000), tmp_path / f"a.{name}")
    assert everything_in(tmp_path) == []


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from unbraid.audio import Audio
from unbraid.errors import MachineError
from unbraid.io.formats import FORMATS
from unbraid.io.spool import Spool
from unbraid.io.write import write

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
folder = Path(sys.argv[1])
noise = torch.randn(2, 400_000)
for name in FORMATS:
    try:
        write(Audio(noise, 44100), folder / "new" / f"a.{name}")
    except MachineError as error:
        print(error)
try:
    with Spool(folder) as spool:
        spool.append(noise)
except MachineError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size to set")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    sentences = done.stdout.splitlines()
    assert len(sentences) == len(FORMATS) + 1
    assert all("File too large" in sentence and "make room" in sentence for sentence in sentences)
    assert done.stderr == ""
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_that_cannot_be_written_is_the_machines_matter(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError, match="cannot be written"):
        write(Audio(signals.noise(10), 48000), tmp_path / "file" / f"a.{name}")


def test_a_folder_without_permission_is_the_machines_matter(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a mode would not stop root
    with pytest.raises(MachineError, match=r"Permission denied.*choose a folder"):
        write(Audio(signals.noise(10), 48000), tmp_path / "new" / "a.wav")
    assert everything_in(tmp_path) == []


# --- what a format cannot hold ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels", "length", "words"),
    [
        ("mp3", 3, 10, "mp3 holds 1 to 2"),
        ("flac", 9, 10, "flac holds 1 to 8"),
        ("opus", 0, 10, "opus holds 1 to 8"),
        ("ogg", 2, 0, "cannot hold 0 samples; wav can"),
    ],
)
def test_a_format_says_what_it_cannot_hold(tmp_path, name, channels, length, words):
    with pytest.raises(UsageError, match=words):
        writer(tmp_path / f"a.{name}", channels=channels, length=length)
    assert everything_in(tmp_path) == []


def test_a_format_whose_samples_are_open_is_refused(tmp_path):
    with pytest.raises(UsageError, match="needs its samples chosen: 16 or 24 or 32f"):
        Writer(
            tmp_path / "a.wav",
            OutputFormat("wav"),
            sample_rate=8000,
            channels=1,
            layout=None,
            length=1,
            tags={},
            cover=None,
        )


def test_a_suffix_that_means_no_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"the name can end in \.wav"):
        write(Audio(signals.noise(10), 8000), tmp_path / "a.xyz")


def test_the_callers_samples_are_left_alone(tmp_path):
    samples = signals.clipped(5000)
    before = samples.clone()
    for name in FORMATS:
        write(Audio(samples, 44100), tmp_path / f"a.{name}")
    assert torch.equal(samples, before)


def test_samples_that_carry_a_gradient_are_written(tmp_path):
    samples = signals.noise(100).requires_grad_()
    path = write(Audio(samples, 44100), tmp_path / "a.wav")
    assert torch.equal(read(path).samples, samples.detach())
