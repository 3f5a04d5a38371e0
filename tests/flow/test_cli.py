"""The command line as its own process: how fast it starts, how it stops, what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

HEAVY = ("torch", "numpy", "av", "soundfile", "soxr", "safetensors", "requests", "cattrs", "rich")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals and file names")

# The real front door and writers, around a network that takes a fifth of a second for each second.
SLOW = textwrap.dedent(
    """
    import sys, time
    from types import SimpleNamespace
    import torch
    import unbraid.lineup, unbraid.separator
    from unbraid.cli.main import run
    from unbraid.engine.plan import Window
    from unbraid.spec import ModelSpec

    class Slow(torch.nn.Module):
        spec = ModelSpec(("vocals", "drums"), 8000, 2, segment=8000)
        def forward(self, mixture):
            time.sleep(0.2)
            return torch.stack([0.75 * mixture, 0.25 * mixture], 1)

    found = SimpleNamespace(name="slow", fingerprint="f" * 64, overlap=0.0, window=Window.TRIANGLE)
    unbraid.lineup.resolve = lambda *_, **__: found
    unbraid.lineup.network = lambda _: Slow()
    run()
    """
)


def unbraid(*arguments, **options):
    """Run the command to its end."""
    command = [sys.executable, "-m", "unbraid", *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=120, **options)


def seconds(*arguments):
    """The best of five runs of Python."""

    def once():
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


@pytest.fixture
def song(tmp_path):
    """Write a quiet song of so many seconds."""

    def song(name, length):
        path = tmp_path / name
        soundfile.write(str(path), np.full((8000 * length, 2), 0.25), 8000, format="WAV")
        return path

    return song


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["separate", "--help"], ["models", "--help"]]
)
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from unbraid.cli.main import main; code = main(sys.argv[1:]); "
        f"sys.exit(code or ' '.join(set({HEAVY}) & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr.strip()) in {(0, b""), (1, b"")}


def test_models_and_paths_are_listed_without_torch():
    code = (
        "import sys; from unbraid.cli.main import main; main(['models']); "
        "main(['models', 'path', 'htdemucs']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_help_and_version_start_as_fast_as_click_allows():
    bare = seconds("-c", "import click, logging")
    assert seconds("-m", "unbraid", "--version") < 3 * bare
    assert seconds("-m", "unbraid", "--help") < 4 * bare


@posix
@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_130_and_leaves_no_partial_file(song, tmp_path, interruption):
    song("short.wav", 1)
    song("long.wav", 60)
    command = [sys.executable, "-c", SLOW, "short.wav", "long.wav", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert json.loads(process.stdout.readline())["result"] == "done"
        assert any("long: separating" in line for line in process.stderr)
        time.sleep(0.5)  # some segments are behind it, and stems are being written
        writing = [path.name for path in (tmp_path / "separated/slow/long").iterdir()]
        process.send_signal(interruption)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert len(writing) >= 2
    assert (out, "Traceback" in err) == ("", False)
    assert "stopped" in err.splitlines()[-1]
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        "long.wav",
        "separated/slow/short/drums.wav",
        "separated/slow/short/unbraid.json",
        "separated/slow/short/vocals.wav",
        "short.wav",
    ]


def test_a_log_file_holds_no_control_character_and_says_what_happened(song, tmp_path):
    song("song.wav", 3)
    command = [sys.executable, "-c", SLOW, "song.wav", "--stems", "vocals,rest"]
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, check=False, text=True, env=environment
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert not [char for char in ended.stderr if not char.isprintable() and char != "\n"]
    for words in ("song: measuring", "song: separating", "residual", "stems are in"):
        assert words in ended.stderr
    stem, _ = soundfile.read(str(tmp_path / "separated/slow/song/vocals.wav"))
    np.testing.assert_allclose(stem, 0.1875, atol=2**-15)


def test_a_reader_that_leaves_early_is_no_error_message():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as pipe:
        command = [sys.executable, "-m", "unbraid", "models", "--json"]
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert ended.stderr == b""


@posix
@pytest.mark.parametrize("encoding", ["ascii:strict", "latin-1:strict", "utf-8:strict", None])
@pytest.mark.parametrize("name", [b"caf\xe9.wav", "歌 🎸.wav".encode(), b"a\x1b\nb.wav"])
def test_names_of_any_bytes_survive_any_locale(song, tmp_path, encoding, name):
    os.rename(song("plain.wav", 1), tmp_path / os.fsdecode(name))  # noqa: PTH104 - bytes are the point
    environment = {**os.environ, "LC_ALL": "C", **({"PYTHONIOENCODING": encoding} if encoding else {})}
    found = unbraid("info", "--json", name, cwd=tmp_path, env=environment)
    assert (found.returncode, found.stderr) == (0, b"")
    assert os.fsencode(json.loads(found.stdout)["path"]) == name
    missing = unbraid("info", b"no " + name, cwd=tmp_path, env=environment)
    assert missing.returncode == 3
    assert len(missing.stderr.splitlines()) == 1
    assert b"\x1b" not in missing.stderr


def test_the_installed_command_and_the_module_are_the_same():
    script = Path(sys.executable).with_name("unbraid")
    if not script.exists():
        pytest.skip("the package is on the path but not installed")
    outputs = {
        subprocess.run([*command, "--help"], check=True, capture_output=True).stdout
        for command in ([str(script)], [sys.executable, "-m", "unbraid"])
    }
    assert len(outputs) == 1


def test_an_ensembles_file_is_a_model(song, tmp_path):
    song("short.wav", 1)
    (tmp_path / "both.toml").write_text(
        """
        [[members]]
        model = "one"
        weights = { vocals = 1 }

        [[members]]
        model = "two"
        weights = { vocals = 1, drums = 1 }
        """
    )
    arguments = ["short.wav", "--model", "both.toml", "--stems", "vocals,rest", "--json"]
    command = [sys.executable, "-c", SLOW, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    stems = json.loads(ended.stdout)["stems"]
    assert list(stems) == ["vocals", "rest"]
    vocals, _ = soundfile.read(tmp_path / stems["vocals"])
    np.testing.assert_allclose(vocals, 0.75 * 0.25, atol=2**-14)
    assert stems["rest"] == str(Path("separated/both/short/rest.wav"))
