"""Ogg's pages: titles and cover put into a finished stream, and whether a file was cut.

Source: RFC 3533 (Ogg pages); Vorbis I specification, sections 4.2 and 5; RFC 7845, section 5 (Opus).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_HEAD = struct.Struct("<4sBBqIIIB")  # magic, version, flags, position, serial, number, checksum, segments
_CONTINUED = 1
_LARGEST = _HEAD.size + 255 + 255 * 255  # bytes of a page
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    flags: int
    position: int
    serial: int
    segments: bytes  # the length of each; a packet ends with one below 255
    body: bytes

    def numbered(self, number: int) -> bytes:
        """The page as bytes, with its number and checksum."""
        count = len(self.segments)
        head = _HEAD.pack(b"OggS", 0, self.flags, self.position, self.serial, number, 0, count)
        page = head + self.segments + self.body
        return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def with_comments(source: BinaryIO, comments: Sequence[bytes]) -> Iterator[bytes]:
    """The stream with other comments, page by page.

    Args:
        source: An Ogg file of one Vorbis or Opus stream.
        comments: Each `NAME=text`.

    Yields:
        Its pages. The audio is what it was; only the pages' numbers move.
    """
    pages = _pages(source)
    first = next(pages)
    yield first.numbered(0)
    packets: list[bytes] = []
    packet = b""
    opus = first.body.startswith(b"OpusHead")
    while len(packets) < (1 if opus else 2):  # comments, and Vorbis' setup; audio begins on a page of its own
        page, at = next(pages), 0
        for size in page.segments:
            packet += page.body[at : at + size]
            at += size
            if size < 255:
                packets.append(packet)
                packet = b""
    number = 1
    for page in _headers([_commented(packets[0], comments), *packets[1:]], first.serial):
        yield page.numbered(number)
        number += 1
    for page in pages:
        yield page.numbered(number)
        number += 1


def ends_within_page(path: Path) -> bool:
    """Whether an Ogg file stops in the middle of a page, as one that was cut does.

    A page that ends the stream is no better sign: recordings of radio lack it.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _LARGEST))
        tail = file.read()
    start = tail.rfind(b"OggS\0")
    if start < 0:  # what stands behind the stream is not our concern
        return False
    page = tail[start:]
    if len(page) < _HEAD.size:
        return True
    count = page[_HEAD.size - 1]
    return len(page) < _HEAD.size + count + sum(page[_HEAD.size : _HEAD.size + count])


def _pages(source: BinaryIO) -> Iterator[_Page]:
    while head := source.read(_HEAD.size):
        _, _, flags, position, serial, _, _, count = _HEAD.unpack(head)
        segments = source.read(count)
        yield _Page(flags, position, serial, segments, source.read(sum(segments)))


def _commented(packet: bytes, comments: Sequence[bytes]) -> bytes:
    """The comment packet with other comments; the encoder's name stays."""
    opus = packet.startswith(b"OpusTags")
    magic = 8 if opus else 7  # "OpusTags" or "\x03vorbis"
    vendor_end = magic + 4 + struct.unpack_from("<I", packet, magic)[0]
    listed = b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    framing = b"" if opus else b"\x01"
    return packet[:vendor_end] + struct.pack("<I", len(comments)) + listed + framing


def _headers(packets: Sequence[bytes], serial: int) -> Iterator[_Page]:
    """Pages of at most 255 segments that hold the packets one after another."""
    segments = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    body, flags = b"".join(packets), 0
    for start in range(0, len(segments), 255):
        part = segments[start : start + 255]
        size = sum(part)
        ends = any(segment < 255 for segment in part)
        yield _Page(flags, 0 if ends else -1, serial, part, body[:size])
        body, flags = body[size:], 0 if part[-1] < 255 else _CONTINUED


def _checksum(page: bytes) -> int:
    """Ogg's CRC: zlib's polynomial with the bits of every byte, and of the result, the other way round."""
    crc = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_MIRROR), "big")
