"""Which numbers of a configuration are out of range: a file may claim any."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SOURCES = 64


def out_of_range(
    config: object, sources: tuple[str, ...], ranges: Mapping[str, tuple[float, float]]
) -> list[str]:
    """A clause for each number out of its range, and one if there are too many sources.

    Args:
        config: A dataclass of numbers.
        sources: Its sources.
        ranges: The least and the greatest value of a field, by name.

    >>> from types import SimpleNamespace
    >>> out_of_range(SimpleNamespace(depth=9), ("vocals",), {"depth": (1, 4)})
    ['depth must be 1 to 4, not 9']
    """
    found = [
        f"{name} must be {least:g} to {greatest:g}, not {getattr(config, name)!s:.40}"
        for name, (least, greatest) in ranges.items()
        if not least <= getattr(config, name) <= greatest
    ]
    if len(sources) > _MOST_SOURCES:
        found.append(f"sources must be at most {_MOST_SOURCES}, not {len(sources)}")
    return found
