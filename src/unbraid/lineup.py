"""Lineup: from what the caller calls a model to networks that are ready to run, one or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from unbraid.config import unstructure
from unbraid.engine.backends.choose import Loaded, backend
from unbraid.engine.ensemble import Ensemble, Part
from unbraid.engine.mix import Domain, Rule
from unbraid.engine.tune import Choice, choose
from unbraid.errors import UsageError
from unbraid.progress import Reporter, Stage
from unbraid.spec import ModelSpec
from unbraid.zoo import cache
from unbraid.zoo.ensembles import ensemble_for
from unbraid.zoo.load import network, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from unbraid.engine.plan import Plan
    from unbraid.engine.runtime import Runtime
    from unbraid.zoo.ensembles import EnsembleCard

    Groups = Mapping[str, tuple[str, ...]]

_OWN_OVERLAP = 0.25  # for a network that no card knows; what Demucs is scored with


@dataclass(frozen=True, slots=True, eq=False)
class Player:
    """One network of a lineup.

    Args:
        name: Of its model.
        fingerprint: Of its weights; empty where there is none.
        part: What it does.
        choice: What runs it.
    """

    name: str
    fingerprint: str
    part: Part
    choice: Choice

    @property
    def pace(self) -> float | None:
        """Seconds it takes for a second of stereo, as measured; None: not measured."""
        if self.choice.seconds is None:
            return None
        plan, rate = self.part.plan, self.part.backend.spec.sample_rate
        return self.choice.seconds * plan.shifts * rate / plan.stride

    def to_json(self) -> dict[str, Any]:
        """What a sidecar says of it."""
        return {
            "model": self.name,
            "weights": self.fingerprint,
            "plan": unstructure(self.part.plan),
            "counts": dict(self.part.weights),
            "backend": self.choice.runtime.engine.value,
            "precision": self.choice.runtime.precision.value,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """Networks that are ready to run, and what they are run for.

    Args:
        name: Of the model.
        groups: The sources of each stem.
        players: The networks.
        ensemble: Their parts together.
    """

    name: str
    groups: Groups
    players: tuple[Player, ...]
    ensemble: Ensemble

    def pace(self, groups: int) -> float | None:
        """Seconds that all networks take for a second of a recording; None: not all were measured.

        Args:
            groups: Of channels, which are separated one by one.
        """
        paces = [player.pace for player in self.players]
        known = [pace for pace in paces if pace is not None]
        return groups * sum(known) if len(known) == len(paces) else None

    def close(self) -> None:
        """Let go of the networks."""
        for player in self.players:
            player.part.backend.close()


@dataclass(frozen=True, slots=True, eq=False)
class Scout:
    """Finds the networks that a name means, and no more of them than the stems need.

    Args:
        groups: From the sources that there are to those of each stem.
        plan: From a network's facts, the overlap it was scored with, and whether it plays alone, to its plan.
        runtime: Where networks run.
        options: For `zoo.load.resolve`.
    """

    groups: Callable[[tuple[str, ...]], Groups]
    plan: Callable[[ModelSpec, float, bool], Plan]
    runtime: Runtime
    options: Mapping[str, Any]

    def find(self, model: str | Path | nn.Module) -> Lineup:
        """The lineup for a model's or an ensemble's name, a path, or a network.

        Raises:
            ModelError: If there is no such model, or its weights cannot be had.
            UsageError: If the stems do not fit the model, or the network has no spec.
        """
        card = None if isinstance(model, nn.Module) else ensemble_for(model)
        if card is not None:
            return self._together(card)
        player = self._player(model, counts=None, alone=True)
        runner = player.part.backend
        groups = self.groups(runner.spec.sources)
        return Lineup(player.name, groups, (player,), Ensemble.alone(runner, player.part.plan))

    def _together(self, card: EnsembleCard) -> Lineup:
        groups = self.groups(card.sources)
        needed = {source for members in groups.values() for source in members}
        heard = [member for member in card.members if member.counts.keys() & needed]
        # A source that is not needed is made, too, where all who have a say in it are heard anyway.
        unheard = {source for member in card.members if member not in heard for source in member.counts}
        sources = tuple(source for source in card.sources if source not in unheard)
        players = []
        for member in heard:
            counts = {source: weight for source, weight in member.counts.items() if source in sources}
            players.append(self._player(member.model, counts=counts, alone=len(heard) == 1))
        ensemble = Ensemble(
            tuple(player.part for player in players),
            sources,
            rule=Rule(card.rule),
            domain=Domain(card.domain),
            complete=sources == card.sources,
        )
        return Lineup(card.name, groups, tuple(players), ensemble)

    def _player(
        self, model: str | Path | nn.Module, *, counts: Mapping[str, float] | None, alone: bool
    ) -> Player:
        if isinstance(model, nn.Module):
            loaded, name, fingerprint, overlap = model, type(model).__name__.lower(), "", _OWN_OVERLAP
        else:
            found = resolve(model, **self.options)
            loaded, name, fingerprint, overlap = network(found), found.name, found.fingerprint, found.overlap
        spec = getattr(loaded, "spec", None)
        if not isinstance(spec, ModelSpec):
            raise UsageError(
                f"a {type(loaded).__name__} has no `spec: ModelSpec` that says what it separates"
            )
        plan = self.plan(spec, overlap, alone)
        folder = cache.graphs_of(fingerprint) if fingerprint else None
        ready = Loaded(loaded, spec, spec.accepted_length(plan.segment), folder)
        choice = choose(
            ready,
            self.runtime,
            name=name,
            identity=fingerprint,
            memory=cache.tuning(),
            on_try=self._trying(name),
        )
        weights = dict.fromkeys(spec.sources, 1.0) if counts is None else counts
        part = Part(backend(ready, choice.runtime), plan, weights)
        return Player(name, fingerprint, part, choice)

    def _trying(self, name: str) -> Callable[[int, int], None]:
        """Tells the listener how many candidates were tried, and stops when the caller cancels."""
        reporters: list[Reporter] = []

        def tell(done: int, total: int) -> None:
            if not reporters:
                listener, cancel = self.options.get("listener"), self.options.get("cancel")
                reporters.append(Reporter(Stage.TUNE, name, total, listener, cancel))
            reporters[0].advance(1 if done else 0)

        return tell
