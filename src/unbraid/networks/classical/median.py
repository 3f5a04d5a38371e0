"""Medians by merging sorted lists: of many tensors, and of a window that slides along one.

Every step is a minimum or a maximum of whole tensors, so it runs as fast as memory allows on any device, and
the windows share what they have in common: several times as fast as sorting each window by itself.

Source   Batcher, "Sorting networks and their applications", 1968; the merge for lists of any two lengths:
         Knuth, "The Art of Computer Programming", volume 3, section 5.3.4.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_PIECE = 32_768  # numbers that are compared at once: the lists of a piece stay in the processor's cache


def median(planes: Sequence[Tensor]) -> Tensor:
    """The median of tensors of one shape, at each place; of an even number, the mean of the middle two.

    Args:
        planes: One or more, all of one shape.

    >>> median([torch.tensor([1.0, 5.0]), torch.tensor([2.0, 9.0]), torch.tensor([8.0, 7.0])])
    tensor([2., 7.])
    >>> median([torch.tensor(1.0), torch.tensor(2.0)])
    tensor(1.5000)
    """
    count = len(planes)
    if count == 1:
        return planes[0]
    lower, upper = _ordered(planes[: count // 2]), _ordered(planes[count // 2 :])
    above = _smallest(lower, upper, count // 2 + 1)
    return above if count % 2 else (_smallest(lower, upper, count // 2) + above) / 2


def sliding_median(values: Tensor, width: int) -> Tensor:
    """The median of each value and its neighbours along the last axis.

    Beyond the ends the values stand mirrored, the outermost twice, as often as the window needs.

    Args:
        values: `(..., N)`.
        width: Of the window, odd.

    Returns:
        Same shape.

    >>> sliding_median(torch.tensor([1.0, 9.0, 2.0, 3.0, 8.0]), 3)
    tensor([1., 2., 3., 3., 8.])
    """
    length, half = values.shape[-1], width // 2
    place = torch.arange(-half, length + half, device=values.device) % (2 * length)
    wider = values[..., torch.minimum(place, 2 * length - 1 - place)]
    rows = wider.reshape(-1, wider.shape[-1])
    together = max(1, _PIECE // rows.shape[-1])
    medians = [_sliding(piece, half) for piece in torch.split(rows, together)]
    return torch.cat(medians).view(values.shape)


def _sliding(values: Tensor, half: int) -> Tensor:
    """The median of each window of 2 · half + 1 values, `(..., N)` to `(..., N − 2 · half)`.

        [ half values, in order ] centre [ half values, in order ]

    The halves of all windows are the same lists at other places.
    """
    if not half:
        return values
    length = values.shape[-1] - 2 * half
    ordered = _windows(half, {1: [values]})
    left, right = _from(ordered, 0, length), _from(ordered, half + 1, length)
    centre = values[..., half : half + length]
    # The centre is the median unless it lies outside the two in the middle of all others.
    return centre.clamp(_smallest(left, right, half), _smallest(left, right, half + 1))


def _windows(count: int, known: dict[int, list[Tensor]]) -> list[Tensor]:
    """`count` neighbours of `known[1]` in rising order, at every place where so many follow each other."""
    if count not in known:
        first = count // 2
        length = known[1][0].shape[-1] - count + 1
        before, behind = _windows(first, known), _windows(count - first, known)
        known[count] = _merged(_from(before, 0, length), _from(behind, first, length))
    return known[count]


def _from(planes: Sequence[Tensor], start: int, length: int) -> list[Tensor]:
    return [plane[..., start : start + length] for plane in planes]


def _ordered(planes: Sequence[Tensor]) -> list[Tensor]:
    """The planes in rising order at each place."""
    half = len(planes) // 2
    return _merged(_ordered(planes[:half]), _ordered(planes[half:])) if half else list(planes)


def _merged(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    """Two lists, each in rising order at each place, as one."""
    if not a or not b:
        return a + b
    if len(a) == len(b) == 1:
        return [torch.minimum(a[0], b[0]), torch.maximum(a[0], b[0])]
    odd, even = _merged(a[::2], b[::2]), _merged(a[1::2], b[1::2])
    merged = odd[:1]
    for low, high in zip(even, odd[1:], strict=False):  # odd has up to two more than even
        merged += [torch.minimum(low, high), torch.maximum(low, high)]
    return merged + odd[len(even) + 1 :] + even[len(odd) - 1 :]


def _smallest(a: list[Tensor], b: list[Tensor], rank: int) -> Tensor:
    """The value of this rank, from 1, among two lists in rising order, without merging them.

    However many of the lowest `rank` are taken from a, the greatest taken is no less than the answer; the
    right number of them gives it.
    """
    splits = range(max(0, rank - len(b)), min(len(a), rank) + 1)
    ends = (a[taken - 1 : taken] + b[rank - taken - 1 : rank - taken] for taken in splits)  # none taken: none
    return reduce(torch.minimum, (reduce(torch.maximum, end) for end in ends))
