"""Reads LevelDB's table format: names with values, sorted, in blocks with checksums.

    table     data blocks, …, index block, footer
    footer    place of the meta index, place of the index, zeros up to byte 40, magic number in 8 bytes
    place     offset, size (varints)
    block     entries, restart points in 4 bytes each, their count in 4; compression in 1, checksum in 4
    entry     characters shared with the name before, further characters, size of the value (varints);
              the further characters, the value

The index is a block, too: it has one entry for each data block, whose value is its place.

Source: LevelDB's documentation of its table format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.crc32c import crc32c, masked
from unbraid.zoo.protobuf import varint

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOOTER = 48  # bytes
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER = 5  # bytes behind a block's contents
_LONGEST = 512  # bytes of a name: shared characters could make a small file's names fill the memory


def read_table(table: memoryview) -> dict[bytes, memoryview]:
    """All values of a table by their name, as views into it.

    Args:
        table: The whole file.

    Returns:
        Names and values in the table's order.

    Raises:
        WeightsError: If the table is damaged, or its blocks are compressed.
        IndexError: If it ends inside a number.
    """
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or footer[-len(_MAGIC) :] != _MAGIC:
        raise WeightsError("the table has not the end that it should have: it is cut short, or no table")
    _, _, at = _place(footer, 0)
    start, size, _ = _place(footer, at)
    values: dict[bytes, memoryview] = {}
    behind, last = 0, None
    for _, place in _entries(_block(table, start, size)):
        start, size, _ = _place(place, 0)
        # In order and apart, as written: none can be claimed often.
        if start < behind:
            raise WeightsError("the table's blocks overlap")
        behind = start + size
        for name, value in _entries(_block(table, start, size)):
            if last is not None and name <= last:
                raise WeightsError("the table's names are not in order")
            values[name], last = value, name
    return values


def _place(data: memoryview, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and what is behind them."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return start, size, at


def _block(table: memoryview, start: int, size: int) -> memoryview:
    """The contents of a block whose checksum holds."""
    end = start + size
    if end + _TRAILER > len(table):
        raise WeightsError(f"a block of {size} bytes reaches beyond the end of the table")
    if masked(crc32c(table[start : end + 1])) != int.from_bytes(table[end + 1 : end + _TRAILER], "little"):
        raise WeightsError("a block of the table has not the checksum that was written with it")
    if table[end]:
        raise WeightsError("the table is compressed, which TensorFlow did before version 1.2; save it again")
    return table[start:end]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Names and values of a block; the restart points, for jumping into it, are not needed."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if end < 0:
        raise WeightsError("a block of the table is smaller than its own list")
    name, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(name) or shared + own > _LONGEST or at + own + size > end:
            raise WeightsError(f"a name of {shared + own} bytes or its value of {size} is not in its block")
        name = name[:shared] + bytes(block[at : at + own])
        at += own
        yield name, block[at : at + size]
        at += size
