"""Packs weights as DiffQ does, a bit at a time."""

from __future__ import annotations

import numpy as np
import torch


def planes_of_64(integers, width):
    """int64 `(line, plane, 32)`: integer n in line n // 2048, bit n % 2048 // 32 of word n % 32."""
    lines = -(-len(integers) // 2048)
    words = np.zeros((lines, width, 32), dtype=np.uint64)
    for n, integer in enumerate(integers):
        line, rest = divmod(n, 2048)
        bit, word = divmod(rest, 32)
        for place in range(width):
            words[line, place, word] |= np.uint64((integer >> place & 1) << bit)
    return torch.from_numpy(words.view(np.int64))


def planes_of_16(integers, width):
    """int16 `(plane, G)`: integer n in bit n // G of word n % G."""
    count = -(-len(integers) // 16)
    words = np.zeros((width, count), dtype=np.uint16)
    for n, integer in enumerate(integers):
        bit, word = divmod(n, count)
        for place in range(width):
            words[place, word] |= np.uint16((integer >> place & 1) << bit)
    return torch.from_numpy(words.view(np.int16))


def quantized(weight, size, bits):
    """Levels `(groups, size)` of a weight, its range, and the values that the levels stand for."""
    values = weight.double().numpy().reshape(-1, size)
    low, high = float(values.min()), float(values.max())
    steps = (2 ** np.asarray(bits, dtype=np.int64) - 1)[:, None]
    levels = np.rint((values - low) / (high - low) * steps).astype(np.int64)
    meant = low + (high - low) * levels / steps
    return levels, (low, high), torch.from_numpy(meant).view(weight.shape)


def packed(levels, scale, bits, planes, least=2):
    """The entry of one weight: levels by their number of bits, range, numbers of bits."""
    bits = np.asarray(bits)
    packs = []
    for width in range(1, 15):
        chosen = levels[bits == width].reshape(-1).tolist()
        packs.append(planes(chosen, width) if chosen else None)
    above = (bits - least).tolist()
    return packs, scale, planes(above, max(above).bit_length())


def unpacked(levels, scale, bits):
    """The entry of one weight as DiffQ wrote it before its version 0.2."""
    kind = torch.uint8 if max(bits) <= 8 else torch.int16
    return torch.from_numpy(levels).to(kind), scale, torch.tensor(bits, dtype=torch.uint8)[:, None]
