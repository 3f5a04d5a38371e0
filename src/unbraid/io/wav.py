"""A WAV encoder: RIFF, or RF64 where a size would pass 4 GiB, with title and cover.

Ours rather than libsndfile's, because the length is known in advance: the header is right from the first
byte, names every loudspeaker, holds the cover, and equal audio gives equal bytes.

Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991; Microsoft,
"Multiple Channel Audio Data and WAVE Files"; EBU Tech 3306, "RF64".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.io.layouts import channel_mask
from unbraid.io.tags import id3, riff_info

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from unbraid.io.disk import Draft
    from unbraid.io.tags import Picture

RIFF_LIMIT = 0xFFFFFFFF  # sizes are 32 bits; this one means: look into ds64
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID = bytes.fromhex("000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_*, after the format's own number


class WavEncoder:
    """Frames into a WAV file.

    Args:
        draft: What is written to.
        bits: "16", "24" or "32f".
        sample_rate: In Hz.
        layout: A loudspeaker's name for each channel.
        length: Samples of each channel that will come.
        tags: Written as a LIST INFO chunk, and as ID3 with the cover.
        cover: Written as ID3.
    """

    def __init__(
        self,
        draft: Draft,
        bits: str,
        *,
        sample_rate: int,
        layout: tuple[str, ...],
        length: int,
        tags: Mapping[str, str],
        cover: Picture | None,
    ) -> None:
        self._draft, self._bits = draft, bits
        size = length * len(layout) * (int(bits.rstrip("f")) // 8)
        info, id3_tag = riff_info(tags), id3(tags, cover)
        self._after = b"\x00" * (size % 2) + _chunk(b"LIST", info) + _chunk(b"id3 ", id3_tag)
        form = _format(bits, sample_rate, layout)
        draft.write(_header(form, is_float=bits == "32f", length=length, size=size, after=len(self._after)))

    def write(self, frames: npt.NDArray[Any]) -> None:
        """Write `(n, channels)`: int16, int32 with its bits at the top, or float32."""
        little = np.ascontiguousarray(frames, dtype=frames.dtype.newbyteorder("<"))
        if self._bits == "24":
            little = little.view("u1").reshape(*frames.shape, 4)[..., 1:]
        self._draft.write(little.tobytes())

    def close(self) -> None:
        """Write what stands after the samples."""
        self._draft.write(self._after)

    def abandon(self) -> None:
        """Nothing is held that would have to be let go."""


def _chunk(name: bytes, body: bytes) -> bytes:
    """A RIFF chunk; nothing for an empty body."""
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2) if body else b""


def _header(form: bytes, *, is_float: bool, length: int, size: int, after: int) -> bytes:
    """All that stands before the samples, the data chunk's own head included; sizes in bytes."""
    body = _chunk(b"fmt ", form)
    if is_float:
        body += _chunk(b"fact", struct.pack("<I", min(length, RIFF_LIMIT)))
    whole = len(b"WAVE") + len(body) + 8 + size + after
    if whole < RIFF_LIMIT:
        return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + body + b"data" + struct.pack("<I", size)
    sizes = struct.pack("<QQQI", whole + 8 + 28, size, length, 0)  # 8 + 28: the ds64 chunk itself
    unknown = struct.pack("<I", 0xFFFFFFFF)
    return b"RF64" + unknown + b"WAVE" + _chunk(b"ds64", sizes) + body + b"data" + unknown


def _format(bits: str, sample_rate: int, layout: tuple[str, ...]) -> bytes:
    """The body of the fmt chunk; more than two channels need the extensible form to be named."""
    channels, width, tag = len(layout), int(bits.rstrip("f")), _FLOAT if bits == "32f" else _PCM
    frame = channels * width // 8
    kind = tag if channels <= 2 else _EXTENSIBLE
    body = struct.pack(
        "<HHIIHH", kind, channels, sample_rate, min(sample_rate * frame, RIFF_LIMIT), frame, width
    )
    if kind == _EXTENSIBLE:
        return body + struct.pack("<HHIH", 22, width, channel_mask(layout), tag) + _GUID
    return body + (b"\x00\x00" if kind == _FLOAT else b"")
