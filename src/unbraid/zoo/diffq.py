"""Weights that DiffQ packed: integer levels in groups, each group with its own number of bits.

    {"quantized": [(levels, (low, high), bits), …], "float16": […], "others": […], "meta": {…}}

The lists hold no names, only the order of the network's weights. One of more than `min_size` MB (in float32)
is quantised, any other stands in `others`, or in `float16` if the quantiser was told so. A level stands for

    low + (high − low) · level / (2^bits − 1)

Packed, `levels` is a list by number of bits, from 1 to 14, of the levels of all groups with so many; these
and the numbers of bits, less the least, are stored as planes: one of all lowest bits, one of the next …

    int64  (line, plane, 32)    integer n: line n // 2048, bit n % 2048 // 32 of word n % 32
    int16  (plane, G)           integer n: bit n // G of word n % G

Before its version 0.2 DiffQ did not pack, and wrote no `meta`; Demucs v2 comes so, its files in zlib.

Source: the files that diffq 0.1.0 and 0.2.4 write. Défossez, Adi, Synnaeve, "Differentiable model
compression via pseudo quantization noise", 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.zoo.unpickle import ClassName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

_QUANTIZER = "diffq.diffq.DiffQuantizer"
_MOST_BITS = 15
# How many integers fill the smallest piece, by dtype and number of axes.
_PIECES = {(torch.int64, 3): 2048, (torch.int16, 2): 16}


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What unpacking needs of the arguments of DiffQ's quantiser; the defaults are its own."""

    min_size: float = 0.01  # MB in float32; only larger weights are quantised
    float16: bool = False
    group_size: int = 1  # 0: all of a weight
    min_bits: int = 2
    exclude: tuple[str, ...] = ()


_UNTOLD = _Recipe(min_size=1, group_size=8)  # of Demucs v2, the only one published without `meta`


def is_packed(state: Mapping[str, object]) -> bool:
    """Whether a state is DiffQ's, rather than weights by name."""
    return isinstance(state.get("quantized"), list) and isinstance(state.get("others"), list)


def unpack(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights of a packed state, in float32 or as they were stored.

    Args:
        state: As DiffQ wrote it.
        shapes: Of the network's weights by name, in the order of the class that was packed.

    Returns:
        Weights by name, each in its shape.

    Raises:
        WeightsError: If the state is not one of this network, or is not written as DiffQ writes.
    """
    recipe, packed = _recipe(state.get("meta"))
    threshold = recipe.min_size * 2**20 // 4
    large = {name: shape for name, shape in shapes.items() if math.prod(shape) > threshold}
    small = {name: shape for name, shape in shapes.items() if name not in large}
    quantized, others = state["quantized"], state["float16" if recipe.float16 else "others"]
    if len(quantized) != len(large) or len(others) != len(small):
        raise WeightsError(
            f"the packed state holds {len(quantized)} quantised weights and {len(others)} others; "
            f"the network has {len(large)} and {len(small)}"
        )
    weights = {
        name: _whole(other, shape, name) for (name, shape), other in zip(small.items(), others, strict=True)
    }
    for (name, shape), entry in zip(large.items(), quantized, strict=True):
        weights[name] = _quantized(entry, shape, name, recipe, packed=packed)
    return weights


def _recipe(meta: object) -> tuple[_Recipe, bool]:
    """How the state was made, and whether it is packed."""
    match meta:
        case None:
            return _UNTOLD, False
        case {"klass": ClassName(name), "init_kwargs": dict() as arguments, "packed": bool() as packed}:
            if name != _QUANTIZER:
                raise WeightsError(f"the state was packed by a {name}; known is {_QUANTIZER}")
        case _:
            raise WeightsError("the state is packed, but does not say how")
    needed = {field.name for field in fields(_Recipe)}
    try:
        recipe = structure(
            {name: value for name, value in arguments.items() if name in needed}, _Recipe, "the packed state"
        )
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    if recipe.exclude or not 0 <= recipe.min_size < math.inf or recipe.group_size < 0:
        raise WeightsError(f"the packed state was made in a way that no published one is: {recipe}")
    return recipe, packed


def _whole(stored: object, shape: tuple[int, ...], name: str) -> Tensor:
    if not isinstance(stored, torch.Tensor) or stored.shape != shape:
        raise WeightsError(f"{name}: the packed state holds another weight than {shape} in its place")
    return stored


def _quantized(entry: object, shape: tuple[int, ...], name: str, recipe: _Recipe, *, packed: bool) -> Tensor:
    try:
        return _values(entry, math.prod(shape), recipe, packed=packed).view(shape)
    except WeightsError as error:
        raise WeightsError(f"{name}: the packed state has {error}") from error


def _values(entry: object, count: int, recipe: _Recipe, *, packed: bool) -> Tensor:
    """The values of one quantised weight, flat."""
    size = recipe.group_size or count
    match entry:
        case (levels, (float() | int() as low, float() | int() as high), torch.Tensor() as bits):
            pass
        case _:
            raise WeightsError("no levels with their range and their bits")
    if count % size:
        raise WeightsError(f"groups of {size}, which {count} values do not fill")
    if packed:
        levels, bits = _unpacked(levels, bits, count, recipe)
    if not isinstance(levels, torch.Tensor) or levels.numel() != count or bits.numel() != count // size:
        raise WeightsError(f"other than {count} levels in groups of {size}")
    if bits.is_floating_point() or bits.min() < 1 or bits.max() > _MOST_BITS:
        raise WeightsError(f"numbers of bits that are not from 1 to {_MOST_BITS}")
    # In DiffQ's own order of operations, so that the weights are those that were scored, to the last bit.
    unit = 1 / ((1 << bits.reshape(-1, 1).int()) - 1).float()
    values = levels.reshape(-1, size).float() * unit
    return values.mul_(high - low).add_(low).flatten()


def _unpacked(packs: object, packed_bits: Tensor, count: int, recipe: _Recipe) -> tuple[Tensor, Tensor]:
    """Levels `(groups, size)` and bits `(groups,)` of a weight that was packed."""
    if not isinstance(packs, (list, tuple)) or len(packs) >= _MOST_BITS:
        raise WeightsError(f"no list of levels by their number of bits, below {_MOST_BITS}")
    _require_room(packs, count)
    size = recipe.group_size or count
    bits = _integers(packed_bits, count // size) + recipe.min_bits
    if bits.max() > len(packs):  # DiffQ itself never stores the levels of groups that have 15 bits
        raise WeightsError(f"groups of {int(bits.max())} bits, of which no levels are stored")
    levels = torch.zeros(count // size, size, dtype=torch.int16)
    for width, words in enumerate(packs, start=1):
        chosen = bits == width
        if words is not None:
            found = _integers(words, int(chosen.sum()) * size, width)
            levels[chosen] = found.view(-1, size)
        elif chosen.any():
            raise WeightsError(f"groups of {width} bits, of which no levels are stored")
    return levels, bits


def _require_room(packs: Sequence[object], count: int) -> None:
    """Make sure that the planes hold so many integers, before memory for them is taken."""
    planes = [words for words in packs if isinstance(words, torch.Tensor) and words.numel()]
    room = sum(8 * words.itemsize * words.numel() // words.shape[-2] for words in planes if words.ndim > 1)
    if room < count:
        raise WeightsError(f"room for {room} levels instead of {count}")


def _integers(words: object, count: int, width: int | None = None) -> Tensor:
    """Integers from their planes of bits.

    Args:
        words: `(line, plane, 32)` in int64, or `(plane, G)` in int16.
        count: How many there are; the rest is padding.
        width: How many planes there must be.

    Returns:
        `(count,)`, int16.
    """
    if not isinstance(words, torch.Tensor) or (words.dtype, words.ndim) not in _PIECES:
        raise WeightsError("integers that are not planes of bits in words of 64 or of 16")
    piece = _PIECES[words.dtype, words.ndim]
    lines, planes, columns = words.shape if words.ndim == 3 else (1, *words.shape)
    word = 8 * words.itemsize
    if lines * columns * word != -(-count // piece) * piece or (words.ndim == 3 and columns * word != piece):
        raise WeightsError(f"planes of shape {tuple(words.shape)}, which are not those of {count} integers")
    if width not in {None, planes} or planes >= _MOST_BITS:
        raise WeightsError(f"{planes} planes of bits instead of {width or 'some'}")
    octets = words.reshape(lines, planes, columns).contiguous().numpy().view(np.uint8)
    total = np.zeros((lines, columns, word), np.int16)
    for place in range(planes):
        plane = np.unpackbits(octets[:, place], axis=-1, bitorder="little")
        total |= plane.reshape(total.shape).astype(np.int16) << place
    return torch.from_numpy(total.transpose(0, 2, 1).reshape(-1)[:count])
