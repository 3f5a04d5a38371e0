"""What gzip or zlib packed, unpacked to a temporary file, and never more of it than weights can be."""

from __future__ import annotations

import tempfile
import zlib
from typing import IO, TYPE_CHECKING

from unbraid.errors import MachineError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKED = (b"\x1f\x8b", b"\x78")  # how gzip begins, and zlib with its usual window

# Weights are noise and hardly shrink. Of Demucs' the v1 shrink most, being rounded to 256 values and written
# as float32: no more than 32-fold even if one bit told each of them. Zeros shrink 1030-fold, as bombs do.
_RATIO = 64
_SLACK = 2**20  # bytes that any file may unpack to: small tables are repetitive
_PIECE = 2**20
_EITHER_HEADER = zlib.MAX_WBITS | 32  # zlib's own word for "gzip's or zlib's, as the first bytes say"


def inflated(packed: IO[bytes]) -> IO[bytes]:
    """What a gzip or zlib stream holds, as a file that is at its beginning and goes when it is closed.

    torch reads its files back and forth, and v1's take 2.6 GB: they are unpacked to the disk, once.

    Args:
        packed: The stream, seekable; it is read from its beginning.

    Returns:
        An unnamed temporary file.

    Raises:
        WeightsError: If the stream is damaged, is followed by anything, or unpacks to more than weights can.
        MachineError: If the temporary folder has no room for it.
    """
    limit = _SLACK + _RATIO * packed.seek(0, 2)
    packed.seek(0)
    room = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        for piece in _pieces(packed):
            _write(room, piece, limit)
        room.seek(0)
    except BaseException:
        room.close()
        raise
    return room


def _pieces(packed: IO[bytes]) -> Iterator[bytes]:
    """The stream unpacked, in pieces of bounded size however well they were packed."""
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        while not unpacker.eof:
            data = unpacker.unconsumed_tail or packed.read(_PIECE)
            if not data:
                raise WeightsError("the compressed data end too early")
            yield unpacker.decompress(data, _PIECE)
    except zlib.error as error:
        raise WeightsError(f"the compressed data are damaged: {error}") from error
    if unpacker.unused_data or packed.read(1):
        raise WeightsError("the compressed data are followed by something else")


def _write(room: IO[bytes], piece: bytes, limit: int) -> None:
    if room.tell() + len(piece) > limit:
        raise WeightsError(f"refused: it unpacks to more than {limit} bytes, which no weights do")
    try:
        room.write(piece)
        room.flush()
    except OSError as error:
        raise MachineError(
            f"compressed weights cannot be unpacked to the temporary folder {tempfile.gettempdir()}: "
            f"{error.strerror or error}; another is named by the environment variable TMPDIR"
        ) from error
