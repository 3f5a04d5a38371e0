"""Order: which steps of a chain must be taken, and when. Needs no torch.

A step hears signals and makes signals of them. The mixture is the signal that is there before any step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from unbraid.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIXTURE = "mixture"


class Linked(Protocol):
    """A step, as far as its place among the others goes."""

    @property
    def hears(self) -> tuple[str, ...]:
        """Names of the signals it needs."""

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the signals it gives."""


L = TypeVar("L", bound=Linked)


def in_order(steps: Sequence[L]) -> tuple[L, ...]:
    """The steps, each after those that make what it hears, and otherwise as they stand.

    Raises:
        ConfigError: If a signal is made twice or by nobody, or steps wait for each other.
    """
    makers = _makers(steps)
    for step in steps:
        for name in step.hears:
            if name != MIXTURE and name not in makers:
                known = [MIXTURE, *makers]
                raise ConfigError(
                    f"a step hears {name!r}, which no step makes; there are {', '.join(known)}"
                    f"{did_you_mean(name, known)}"
                )
    ordered: list[L] = []
    waiting, made = list(steps), {MIXTURE}
    while waiting:
        ready = next((step for step in waiting if made.issuperset(step.hears)), None)
        if ready is None:
            raise ConfigError(f"steps wait for each other: {_circle(waiting[0], makers, made)}")
        waiting.remove(ready)
        ordered.append(ready)
        made.update(ready.makes)
    return tuple(ordered)


def needed(steps: Sequence[L], signals: Iterable[str]) -> tuple[L, ...]:
    """The steps without which these signals are not made, in the order in which they are given.

    Args:
        steps: In an order that works.
        signals: Names of what is wanted.
    """
    wanted, taken = set(signals), []
    for step in reversed(steps):
        if wanted.intersection(step.makes):
            wanted.update(step.hears)
            taken.append(step)
    return tuple(reversed(taken))


def _makers(steps: Sequence[L]) -> dict[str, L]:
    """Who makes each signal."""
    makers: dict[str, L] = {}
    for step in steps:
        for name in step.makes:
            if name in makers or name == MIXTURE:
                before = "is there from the start" if name == MIXTURE else "is made twice"
                raise ConfigError(f"the signal {name!r} {before}; give it another name in `into`")
            makers[name] = step
    return makers


def _circle(step: L, makers: dict[str, L], made: set[str]) -> str:
    """The signals of some steps that wait for each other, from one to itself again."""
    path: list[str] = []
    while True:
        name = next(name for name in step.hears if name not in made)
        if name in path:
            return " needs ".join([*path[path.index(name) :], name])
        path.append(name)
        step = makers[name]
