"""The best model for a source: by a stated score, at a cost, under a licence. Needs no torch.

Scores of different metrics or data sets are never compared. Of all ways of measuring by which models within
the budget were measured, the one with the most of them is taken, the catalogue's first among equals; of these
models the highest score wins, the cheaper one where two are equal. MUSDB18, whose songs end at 16 kHz, counts
only where no other data set does; MUSDB18-HQ has them whole. Models that were not measured that way are
counted, and told apart. Where none has a score, it is the first of the short list, and the sentence says so.

Cost is how many multiply-adds a second of audio takes, with segments overlapping as they did when the model
was scored. `costs.toml` holds the counts.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

from unbraid.errors import UnknownModelError, UsageError, did_you_mean
from unbraid.zoo import catalog
from unbraid.zoo.ensembles import ensemble_for, list_ensembles
from unbraid.zoo.tasks import all_sources, sources_called, tasks_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbraid.zoo.checkpoint import Checkpoint, Score
    from unbraid.zoo.tasks import Task

Budget = Literal["fast", "balanced", "best"]
MEASURE = "htdemucs"  # whose cost is 1
# Costs at most, by that of `MEASURE`.
BUDGETS: Mapping[Budget, float] = {"fast": 4.0, "balanced": 16.0, "best": float("inf")}
STATED = "stated"
SUPERSEDED = "MUSDB18 "  # the data set, which MUSDB18-HQ took the place of


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model or an ensemble that makes what is wanted.

    Args:
        name: As a user types it.
        source: What it calls what is wanted.
        scores: Its published measurements.
        cost: For this source, by that of htdemucs; None: it was never counted.
        parameters: Of all networks that it needs.
        licences: Of these.
        contamination: What test data it has seen.
        common: Whether it stands in the short list, as all ensembles do.
    """

    name: str
    source: str
    scores: tuple[Score, ...]
    cost: float | None
    parameters: int
    licences: tuple[str, ...]
    contamination: str
    common: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What was picked, and what it was compared with.

    Args:
        candidate: The pick.
        score: By which it won; None: no candidate has one.
        value: Of the source, in dB.
        others: The others that were measured the same way, the best first, with their scores.
        uncompared: Names of those within the budget that were not.
        dearer: How many the budget left out.
    """

    candidate: Candidate
    score: Score | None
    value: float | None
    others: tuple[tuple[Candidate, float], ...]
    uncompared: tuple[str, ...]
    dearer: int


def best(
    source: str, *, budget: Budget = "balanced", licence: str | None = None, task: Task | None = None
) -> Choice:
    """The best model for a source.

    Args:
        source: What is wanted, as users call it.
        budget: What it may cost.
        licence: Names of licences, with commas between them, that the weights may have; "stated": any.
        task: Only models that are for this.

    Raises:
        UnknownModelError: If no model makes the source, or none within budget and licence.
        UsageError: If there is no such budget.

    >>> best("vocals", budget="fast", licence="MIT").candidate.licences
    ('MIT',)
    """
    if budget not in BUDGETS:
        raise UsageError(f"no budget is called {budget!r}; there are {', '.join(BUDGETS)}")
    wanted = sources_called(source)
    makers = [candidate for candidate in _candidates(task) if candidate.source in wanted]
    if not makers:
        raise UnknownModelError(f"no model makes {source!r}{did_you_mean(source, all_sources())}")
    allowed = [candidate for candidate in makers if is_under(candidate.licences, licence)]
    if not allowed:
        found = sorted({name for candidate in makers for name in candidate.licences})
        raise UnknownModelError(
            f"no model for {source} has the licence {licence}; theirs are {', '.join(found)}"
        )
    affordable = [found for found in allowed if found.cost is not None and found.cost <= BUDGETS[budget]]
    if not affordable:
        raise UnknownModelError(
            f"no model for {source} is so cheap; the cheapest costs {_least(allowed):.0f} times {MEASURE}: "
            "allow a larger budget"
        )
    return _choice(affordable, len(allowed) - len(affordable))


def cost_of(name: str) -> float | None:
    """What a model costs, by what htdemucs does; None if it was never counted.

    >>> cost_of("htdemucs")
    1.0
    """
    counted, unit = _absolute(name), _absolute(MEASURE)
    return None if counted is None or unit is None else counted / unit


def is_under(licences: Iterable[str], asked: str | None) -> bool:
    """Whether all of these licences are among those that a user asks for.

    Args:
        licences: Of the weights.
        asked: Names with commas between them; "stated": any. None: all are.

    >>> is_under(("MIT",), "apache-2.0, mit"), is_under(("not stated",), "stated")
    (True, False)
    """
    if asked is None:
        return True
    names = {name.strip().lower() for name in asked.split(",")}
    told = {name.lower() for name in licences}
    return told <= names or (STATED in names and "not stated" not in told)


def _choice(affordable: list[Candidate], dearer: int) -> Choice:
    """The pick among models that may be picked."""
    ways: dict[tuple[str, str], list[tuple[Candidate, Score]]] = {}
    for candidate in affordable:
        for way, score in _ways(candidate).items():
            ways.setdefault(way, []).append((candidate, score))
    if not ways:
        first = min(affordable, key=lambda found: (not found.common, found.cost))
        names = tuple(found.name for found in affordable if found is not first)
        return Choice(first, None, None, (), names, dearer)
    measured = ways[max(ways, key=lambda way: (not way[1].startswith(SUPERSEDED), len(ways[way])))]
    ranked = sorted(measured, key=lambda pair: (-_value(*pair), pair[0].cost))
    compared = {candidate.name for candidate, _ in measured}
    winner, score = ranked[0]
    return Choice(
        winner,
        score,
        _value(winner, score),
        tuple((candidate, _value(candidate, other)) for candidate, other in ranked[1:]),
        tuple(candidate.name for candidate in affordable if candidate.name not in compared),
        dearer,
    )


def _ways(candidate: Candidate) -> dict[tuple[str, str], Score]:
    """A candidate's scores of its source by metric and data set; of several the first."""
    ways: dict[tuple[str, str], Score] = {}
    for score in candidate.scores:
        if candidate.source in score.values:
            ways.setdefault((score.metric, score.dataset), score)
    return ways


def _value(candidate: Candidate, score: Score) -> float:
    return score.values[candidate.source]


def _candidates(task: Task | None) -> Iterable[Candidate]:
    """All that could be picked: ensembles, and what can be fetched and is no part of one."""
    for card in catalog.cards():
        if card.member or card.is_by_hand or not card.has_weights or (task and task not in tasks_of(card)):
            continue
        for source in card.sources:
            yield Candidate(
                card.name,
                source,
                card.scores,
                cost_of(card.name),
                card.parameters,
                (card.licence,),
                card.contamination,
                card.common,
            )
    for ensemble in filter(None, map(ensemble_for, list_ensembles())):
        for source in ensemble.sources:
            heard = [catalog.card(member.model) for member in ensemble.heard((source,))]
            fits = task is None or all(task in tasks_of(card) for card in heard)
            if fits and not any(card.is_by_hand for card in heard):
                yield _together(ensemble.name, source, ensemble.scores, heard)


def _together(name: str, source: str, scores: tuple[Score, ...], heard: list[Checkpoint]) -> Candidate:
    """Several models as one candidate."""
    costs = [cost_of(card.name) for card in heard]
    return Candidate(
        name,
        source,
        scores,
        None if None in costs else sum(filter(None, costs)),
        sum(card.parameters for card in heard),
        tuple(dict.fromkeys(card.licence for card in heard)),
        "; ".join(dict.fromkeys(card.contamination for card in heard)),
        True,
    )


def _least(candidates: list[Candidate]) -> float:
    return min((found.cost for found in candidates if found.cost is not None), default=float("inf"))


def _absolute(name: str) -> float | None:
    """Billions of multiply-adds for a second of audio, with overlap."""
    counted = _costs().get(name)
    return None if counted is None else counted / (1 - catalog.card(name).overlap)


@functools.cache
def _costs() -> Mapping[str, float]:
    text = (resources.files("unbraid.zoo") / "costs.toml").read_text(encoding="utf-8")
    return {name: float(cost) for name, cost in tomllib.loads(text).items()}
