"""Takes weights out of an archive: plain files by name, and no more of it than weights can be.

An archive may have been forged: it may hold links, names that lead elsewhere, a name twice, or what unpacks
to more than the disk has. Nothing is written but plain files under their own last name, in a folder of ours.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from unbraid.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIECE = 2**20  # bytes read at once
_FILES = 16  # that one checkpoint may consist of
# Weights are noise and hardly shrink; zeros, as in bombs, shrink 1030-fold.
_RATIO = 16
_SLACK = 2**20  # bytes that any archive may unpack to
_PLAIN_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, KeyError, RuntimeError,
    NotImplementedError, ValueError, OverflowError,
)  # fmt: skip


def extract(archive: Path, member: str, folder: Path, *, limit: int | None = None) -> Path:
    """Copy a member out of an archive.

    Args:
        archive: A zip or a tar in gzip.
        member: The member's name in it.
        folder: Where it is put, under the last part of its name.
        limit: Bytes that it may take, and then it comes alone. None: with it come the files beside it whose
            names begin alike, as model.data-00000-of-00001 beside model.index, and all that is unpacked may
            take sixteen times what the archive takes.

    Returns:
        The member's copy.

    Raises:
        DownloadError: If the archive is damaged, has no such plain file or has it twice, or holds more than
            it may.
    """
    wanted = PurePosixPath(member)

    def is_wanted(name: str) -> bool:
        place = PurePosixPath(name)
        alike = place.parent == wanted.parent and place.name.startswith(f"{wanted.stem}.")
        return place == wanted or (limit is None and alike and _PLAIN_NAME.fullmatch(place.name) is not None)

    room = _SLACK + _RATIO * archive.stat().st_size
    try:
        _copy_all(_plain_files(archive, is_wanted, room), folder, room if limit is None else limit)
    except _BROKEN as error:
        raise DownloadError(f"{member} cannot be read from the archive: {error}") from error
    if not (folder / wanted.name).is_file():
        raise DownloadError(f"{member} is no plain file in the archive")
    return folder / wanted.name


def _copy_all(files: Iterator[tuple[str, IO[bytes]]], folder: Path, room: int) -> None:
    """Write all files into a folder, as long as there is room."""
    left = room
    for count, (name, content) in enumerate(files):
        if count == _FILES or (folder / name).exists():
            raise DownloadError(f"the archive holds {name} twice, or more than {_FILES} files of its kind")
        with (folder / name).open("wb") as target:
            while piece := content.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise DownloadError(f"{name} holds more than the {room} bytes that it may")
                target.write(piece)


def _plain_files(
    archive: Path, is_wanted: Callable[[str], bool], room: int
) -> Iterator[tuple[str, IO[bytes]]]:
    """The plain files whose names are wanted: the last part of each name, and the content to be read now."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as whole:
            for entry in whole.infolist():
                if is_wanted(entry.filename) and not entry.is_dir():
                    with whole.open(entry) as content:
                        yield PurePosixPath(entry.filename).name, content
        return
    with gzip.open(archive) as unpacked:
        bounded = cast("IO[bytes]", _Bounded(unpacked, room))
        with tarfile.open(fileobj=bounded, mode="r|") as package:
            for member in package:
                if is_wanted(member.name) and member.isreg() and (held := package.extractfile(member)):
                    yield PurePosixPath(member.name).name, held


class _Bounded:
    """A stream that may not be read without end: a tar's headers may be bombs, too."""

    def __init__(self, content: gzip.GzipFile, room: int) -> None:
        self._content, self._room = content, room

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._content.read(size)
        self._room -= len(piece)
        if self._room < 0:
            raise DownloadError("the archive unpacks to more than weights can")
        return piece
