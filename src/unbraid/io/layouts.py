"""Names of loudspeakers and the orders in which formats store them.

The names are those of WAVE_FORMAT_EXTENSIBLE in FFmpeg's spelling. Everywhere in Unbraid the channels
stand in the order of that standard; only Vorbis stores them otherwise, and is put in order at the door.
"""

from __future__ import annotations

# Source: Microsoft, "Multiple Channel Audio Data and WAVE Files", dwChannelMask; the order is the bit's.
_MASK = {
    "FL": 0x1,
    "FR": 0x2,
    "FC": 0x4,
    "LFE": 0x8,
    "BL": 0x10,
    "BR": 0x20,
    "FLC": 0x40,
    "FRC": 0x80,
    "BC": 0x100,
    "SL": 0x200,
    "SR": 0x400,
    "TC": 0x800,
    "TFL": 0x1000,
    "TFC": 0x2000,
    "TFR": 0x4000,
    "TBL": 0x8000,
    "TBC": 0x10000,
    "TBR": 0x20000,
}

# What FLAC (RFC 9639, section 9.1.3), Vorbis and Opus (RFC 7845, section 5.1.1.2) mean by a bare count.
_DEFAULTS = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}

# Source: Vorbis I specification, section 4.3.9. Position of each of our channels in a Vorbis stream.
_VORBIS = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


def default_layout(channels: int) -> tuple[str, ...]:
    """The loudspeakers a bare number of channels means.

    >>> default_layout(2)
    ('FL', 'FR')
    >>> default_layout(9)[-1]
    'CH9'
    """
    return _DEFAULTS.get(channels) or tuple(f"CH{index + 1}" for index in range(channels))


def channel_mask(layout: tuple[str, ...]) -> int:
    """The layout as a WAVE channel mask; 0 where the mask cannot say it.

    >>> hex(channel_mask(("FL", "FR", "FC", "LFE", "BL", "BR")))
    '0x3f'
    """
    bits = [_MASK.get(name, 0) for name in layout]
    in_order = bits == sorted(set(bits)) and 0 not in bits
    return sum(bits) if in_order else 0


def vorbis_positions(channels: int) -> tuple[int, ...]:
    """Where each of our channels stands in a Vorbis stream of so many channels."""
    return _VORBIS.get(channels, tuple(range(channels)))
