"""Fields of a protocol-buffers message, for the few foreign formats that are made of such messages.

A message is a sequence of fields, each a number with its wire type (varint) and a value. What a number
means stands in the format's own description.

Source: the protocol-buffers encoding guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    r"""Each field's number and value; bytes stay a view into the message.

    Raises:
        WeightsError: If a field has no known wire type, or reaches beyond the end.
        IndexError: If the message ends inside a number.

    >>> [(number, bytes(value)) for number, value in fields(memoryview(b"\x12\x02ok"))]
    [(2, b'ok')]
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = varint(message, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, at = varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise WeightsError(f"a field of wire type {wire}, which no weights need")
        if at + size > len(message):
            raise WeightsError(f"a field of {size} bytes reaches beyond the end")
        yield key >> 3, message[at : at + size]
        at += size


def varints(packed: memoryview) -> list[int]:
    """Numbers that stand one behind the other."""
    values, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        values.append(value)
    return values


def varint(message: memoryview, at: int) -> tuple[int, int]:
    r"""A number of seven bits a byte, lowest first, and the place behind it.

    Raises:
        WeightsError: If it has more than ten bytes.
        IndexError: If the message ends inside it.

    >>> varint(memoryview(b"\xac\x02"), 0)
    (300, 2)
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WeightsError("a number of more than ten bytes")
