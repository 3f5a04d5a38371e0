"""The checksum CRC-32C of many bytes at once, in NumPy.

A checksum is a remainder, so it can be folded: of two neighbouring stretches, the first one's remainder,
moved on by the length of the second, and the second's, together are the remainder of both. Here neighbouring
words of four bytes are folded, then neighbouring pairs, and so on, each time all of them at once.

    words     a b c d e f g h
    by one    ab  cd  ef  gh        ab = moved(a, 1 word) ^ b
    by two    abcd    efgh
    by four   abcdefgh

Source: RFC 3720 (iSCSI), appendix B.4, for the polynomial and its examples; the mask is LevelDB's.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its highest power in the lowest bit
# A remainder begins as ones; so it does behind this word, and leading zeros before it change nothing.
_FIRST = bytes.fromhex("54641f64")


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of bytes.

    Args:
        data: Any number of them.

    Returns:
        32 bits.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    content = np.frombuffer(data, np.uint8)
    padded = np.zeros(-(-len(content) // 4) * 4 + 4, np.uint8)
    start = len(padded) - len(content)
    padded[start - 4 : start] = np.frombuffer(_FIRST, np.uint8)
    padded[start:] = content
    words = padded.view("<u4")
    power = 0
    while len(words) > 1:
        if len(words) % 2:
            words = np.concatenate([words[:1] * 0, words])
        words = _moved(words[::2], _tables(power)) ^ words[1::2]
        power += 1
    return int(_moved(words, _tables(0))[0]) ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """The checksum as LevelDB and TensorFlow store it, so that checksums of checksums stay good ones.

    >>> hex(masked(0xE3069283))
    '0xc78ab0e5'
    """
    turned = (checksum >> 15) | (checksum << 17)
    return (turned + 0xA282EAD8) & 0xFFFFFFFF


def _moved(remainders: NDArray[np.uint32], tables: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Remainders after the zeros that the tables stand for: the sum of what each byte becomes."""
    result: NDArray[np.uint32] = tables[0][remainders & 0xFF]
    for place in range(1, 4):
        result ^= tables[place][(remainders >> (8 * place)) & 0xFF]
    return result


@cache
def _tables(power: int) -> NDArray[np.uint32]:
    """What each value of each of a remainder's four bytes becomes after 2^power words of zeros, (4, 256)."""
    if power:
        half = _tables(power - 1)
        return _moved(half, half)
    places = np.arange(4, dtype=np.uint32)[:, None]
    table = np.arange(256, dtype=np.uint32) << (8 * places)
    for _ in range(32):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table
