"""Titles and pictures as the containers spell them: RIFF INFO, ID3v2, Vorbis comments, FLAC pictures."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Our name (FFmpeg's): ID3v2.4 frame, RIFF INFO chunk ("" where there is none), Vorbis comment.
_NAMES = {
    "title": ("TIT2", "INAM", "TITLE"),
    "artist": ("TPE1", "IART", "ARTIST"),
    "album": ("TALB", "IPRD", "ALBUM"),
    "album_artist": ("TPE2", "", "ALBUMARTIST"),
    "composer": ("TCOM", "", "COMPOSER"),
    "date": ("TDRC", "ICRD", "DATE"),
    "track": ("TRCK", "IPRT", "TRACKNUMBER"),
    "disc": ("TPOS", "", "DISCNUMBER"),
    "genre": ("TCON", "IGNR", "GENRE"),
    "comment": ("COMM", "ICMT", "COMMENT"),
}

FRONT_COVER = 3  # ID3v2 APIC and FLAC picture number their kinds alike


@dataclass(frozen=True, slots=True)
class Picture:
    """A cover and what a container must say of it.

    Args:
        data: The file as it is.
        codec: FFmpeg's name, "mjpeg" or "png".
        width: In pixels.
        height: In pixels.
    """

    data: bytes
    codec: str
    width: int
    height: int

    @property
    def mime(self) -> str:
        """Its media type."""
        return "image/png" if self.codec == "png" else "image/jpeg"


def known_tags(*sources: Mapping[str, str]) -> dict[str, str]:
    """The tags that we carry, under our names, from what a container says; a later source wins.

    >>> known_tags({"TITLE": "Song", "major_brand": "M4A"})
    {'title': 'Song'}
    """
    found = {key.lower(): value for source in sources for key, value in source.items() if value}
    return {name: found[name] for name in _NAMES if name in found}


def picture(cover: bytes | None) -> Picture | None:
    """The cover as a picture, or None if it is neither JPEG nor PNG, which are all that players show."""
    import av

    if not cover:
        return None
    try:
        with av.open(io.BytesIO(cover), options={"protocol_whitelist": "crypto"}) as container:
            context = container.streams.video[0].codec_context
            codec, width, height = context.name, context.width, context.height
    except (av.error.FFmpegError, IndexError):
        return None
    return Picture(cover, codec, width, height) if codec in ("mjpeg", "png") else None


def id3(tags: Mapping[str, str], cover: Picture | None) -> bytes:
    """An ID3v2.4 tag; empty if there is nothing to say.

    Source: M. Nilsson, "ID3 tag version 2.4.0 – Main Structure" and "– Native Frames", 2000.
    """
    frames = b""
    for name, text in tags.items():
        frame = _NAMES[name][0]
        lead = b"\x03eng\x00" if frame == "COMM" else b"\x03"  # 3: UTF-8; a comment has a language and title
        frames += _id3_frame(frame, lead + text.encode("utf-8", "replace"))
    if cover:
        head = b"\x00" + cover.mime.encode() + b"\x00" + bytes([FRONT_COVER]) + b"\x00"
        frames += _id3_frame("APIC", head + cover.data)
    return b"ID3\x04\x00\x00" + _syncsafe(len(frames)) + frames if frames else b""


def _id3_frame(name: str, body: bytes) -> bytes:
    return name.encode() + _syncsafe(len(body)) + b"\x00\x00" + body


def _syncsafe(size: int) -> bytes:
    """A size in four bytes of seven bits, so that no decoder takes it for the start of a frame."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def riff_info(tags: Mapping[str, str]) -> bytes:
    """The body of a RIFF LIST chunk of kind INFO; empty if there is nothing to say."""
    body = b""
    for name, text in tags.items():
        if _NAMES[name][1]:
            data = text.encode("utf-8", "replace") + b"\x00"
            body += _NAMES[name][1].encode() + struct.pack("<I", len(data)) + data + b"\x00" * (len(data) % 2)
    return b"INFO" + body if body else b""


def vorbis_comments(tags: Mapping[str, str], cover: Picture | None) -> list[bytes]:
    """Vorbis comments, each `NAME=text`."""
    comments = [f"{_NAMES[name][2]}={text}".encode("utf-8", "replace") for name, text in tags.items()]
    if cover:
        comments.append(b"METADATA_BLOCK_PICTURE=" + flac_picture(cover))
    return comments


def flac_picture(cover: Picture) -> bytes:
    """A FLAC picture block in base64, as Vorbis comments hold it (RFC 9639, section 8.8)."""
    mime = cover.mime.encode()
    block = struct.pack(">II", FRONT_COVER, len(mime)) + mime
    block += struct.pack(">IIIIII", 0, cover.width, cover.height, 24, 0, len(cover.data)) + cover.data
    return base64.b64encode(block)
