"""Cases: which network runs how. A case is measured by itself, in a process of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.bench.backends import BY_NAME, REFERENCE, backends
from unbraid.errors import UsageError, WeightsError, did_you_mean
from unbraid.zoo import cache, catalog
from unbraid.zoo.load import card_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Subject:
    """A network that is measured.

    Args:
        model: A model's name, or the path of a checkpoint.
        untrained: Whether random weights stand in for those of the model.
    """

    model: str
    untrained: bool = False

    def __str__(self) -> str:
        name = os.path.basename(self.model)  # noqa: PTH119 - a name such as umxhq is no path
        return f"{name} (untrained)" if self.untrained else name


@dataclass(frozen=True, slots=True)
class Case:
    """A network and how it runs.

    Args:
        subject: The network.
        backend: What runs it.
        precision: Of its numbers.
        threads: Processor threads.
        device: As for `Runtime`.
    """

    subject: Subject
    backend: str
    precision: str
    threads: int
    device: str = "auto"

    @property
    def is_reference(self) -> bool:
        """Whether others of this network are compared with it."""
        return (self.backend, self.precision) == REFERENCE

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.subject}, {self.backend}, {self.precision}, {threads}"


def subjects(names: Sequence[str], *, untrained: bool) -> tuple[Subject, ...]:
    """The networks for the names that were given.

    Args:
        names: Of models, or paths of checkpoints; none: every model whose weights are on this machine.
        untrained: Let random weights stand in for those that are not. Where no names are given: add one
            model of each architecture that then is still missing.

    Raises:
        UnknownModelError: If a name or path is nothing's.
        UsageError: If a name is an ensemble's, or none was given and no weights are here.
        WeightsError: If the weights of a model are not here; nothing is fetched for a measurement.
    """
    if names:
        return tuple(_subject(name, untrained=untrained) for name in dict.fromkeys(names))
    trained = [card for card in catalog.cards() if card.has_weights and cache.is_on_disk(card)]
    found = {card.architecture: Subject(card.name, untrained=True) for card in reversed(catalog.cards())}
    for card in trained:
        found.pop(card.architecture, None)
    others = [one for one in found.values() if catalog.card(one.model).has_weights] if untrained else []
    if not trained and not others:
        raise UsageError(
            "no weights are on this machine; 'unbraid models pull htdemucs' fetches some, and --untrained "
            "measures networks of the same size without them"
        )
    return (*(Subject(card.name) for card in trained), *reversed(others))


def _subject(name: str, *, untrained: bool) -> Subject:
    card = card_for(name)
    if card is None:
        return Subject(name)
    if cache.is_on_disk(card):
        return Subject(card.name)
    if untrained:
        return Subject(card.name, untrained=True)
    raise WeightsError(
        f"the weights of {card.name} are not on this machine; 'unbraid models pull {card.name}' fetches "
        "them, and --untrained measures a network of the same size without them"
    )


def cases(
    networks: Sequence[Subject],
    *,
    chosen: Sequence[str] = (),
    precisions: Sequence[str] = (),
    threads: Sequence[int],
    device: str = "auto",
) -> list[Case]:
    """Every way each network is to run, beginning with its reference.

    Args:
        networks: What runs.
        chosen: Names of backends; none: those here that begin within seconds.
        precisions: Of each backend those that it has; none: all, or with no backend chosen, the quick ones.
        threads: Numbers of processor threads.
        device: As for `Runtime`.

    Raises:
        UsageError: If a backend or a precision is not to be had, or a number of threads is below 1.
    """
    if not threads or min(threads) < 1:
        raise UsageError(f"{', '.join(map(str, threads)) or 'no'} threads were asked for; they start at 1")
    pairs = [REFERENCE, *_pairs(chosen, precisions)]
    return [
        Case(network, backend, precision, count, device)
        for network in networks
        for backend, precision in dict.fromkeys(pairs)
        for count in dict.fromkeys(threads)
    ]


def _pairs(chosen: Sequence[str], precisions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Backends with their precisions."""
    there = backends()
    for name in chosen:
        _require(name, "backend", there)
    held = {name: there[name] for name in chosen or there}
    every = dict.fromkeys(precision for kinds in held.values() for precision in kinds)
    for precision in precisions:
        _require(precision, "precision", every)
    for name, kinds in held.items():
        for precision in kinds:
            asked = precision in precisions or name in chosen or (name, precision) not in BY_NAME
            if asked and (not precisions or precision in precisions):
                yield name, precision


def _require(name: str, kind: str, there: Iterable[str]) -> None:
    """Refuse what this machine does not have."""
    held = list(there)
    if name not in held:
        raise UsageError(
            f"there is no {kind} {name!r} here{did_you_mean(name, held) or '; there is ' + ', '.join(held)}"
        )
