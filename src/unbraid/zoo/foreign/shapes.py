"""What the shapes of weights tell: how many there are of a kind, and how large one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 1000  # of a kind, far beyond any network


def shape_of(shapes: Mapping[str, tuple[int, ...]], name: str, axes: int) -> tuple[int, ...]:
    """The shape of a weight.

    Args:
        shapes: Of all weights.
        name: Of the one.
        axes: How many it must have.

    Raises:
        WeightsError: If there is none of that name with so many axes.
    """
    shape = shapes.get(name, ())
    if len(shape) != axes:
        raise WeightsError(f"there is no weight {name} with {axes} axes among these {len(shapes)}")
    return tuple(shape)


def count(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    """How many modules of a kind there are, which are numbered from 0 on.

    Args:
        shapes: Of all weights.
        prefix: What stands in their names before the number.

    Raises:
        WeightsError: If numbers are left out.

    >>> count({"net.0.weight": (1,), "net.1.weight": (1,), "net.1.bias": (1,)}, "net.")
    2
    """
    numbers = {name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)}
    if len(numbers) > _MOST or numbers != {str(number) for number in range(len(numbers))}:
        raise WeightsError(f"weights named {prefix} are not numbered from 0 on: {sorted(numbers)[:5]}")
    return len(numbers)
