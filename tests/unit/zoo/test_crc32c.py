"""The checksum against the standard's examples and a bit-by-bit twin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.zoo.crc32c import crc32c, masked


def slow_crc32c(data: bytes) -> int:
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_standards_examples_hold(data, checksum):
    assert crc32c(data) == checksum


@given(st.binary(max_size=200))
def test_folding_gives_what_one_bit_after_the_other_gives(data):
    assert crc32c(memoryview(data)) == slow_crc32c(data)


def test_a_mask_can_be_taken_off():
    for checksum in (0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678):
        turned = (masked(checksum) - 0xA282EAD8) & 0xFFFFFFFF
        assert ((turned << 15) | (turned >> 17)) & 0xFFFFFFFF == checksum
