"""How many samples a WAV or AIFF file promises in its header, which a cut file still does."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNKNOWN = 0xFFFFFFFF  # what a program writes that pipes its output, or that uses ds64


def promised_length(path: Path) -> int | None:
    """Samples a channel that a WAV, RF64 or AIFF header promises.

    Args:
        path: Of the file.

    Returns:
        The count; None for other files, or where the header leaves it open.
    """
    with path.open("rb") as file:
        magic, _, form = struct.unpack("4s4s4s", file.read(12).ljust(12))
        if magic in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
            return _wave_length(file)
        if magic == b"FORM" and form in (b"AIFF", b"AIFC"):
            return _aiff_length(file)
    return None


def _chunks(file: BinaryIO, byte_order: str) -> Iterator[tuple[bytes, int]]:
    """Each chunk's name and size, with the file at its body; the caller may read there."""
    position = file.tell()
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack(f"{byte_order}4sI", header)
        yield name, size
        position += 8 + size + size % 2
        file.seek(position)


def _wave_length(file: BinaryIO) -> int | None:
    long_size, frame = 0, 0
    for name, size in _chunks(file, "<"):
        if name == b"ds64":
            long_size = struct.unpack("<8xQ", file.read(16))[0]
        elif name == b"fmt ":
            frame = struct.unpack("<12xH", file.read(14))[0]
        elif name == b"data" and frame:
            if size == 0:  # truly so, or never filled in by a recorder that crashed
                return 0 if file.read(4) in (b"", b"LIST", b"id3 ") else None
            promised = long_size if size == _UNKNOWN else size
            return promised // frame or None
    return None


def _aiff_length(file: BinaryIO) -> int | None:
    for name, _ in _chunks(file, ">"):
        if name == b"COMM":
            return int(struct.unpack(">2xI", file.read(6))[0])
    return None
