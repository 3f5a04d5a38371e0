"""Lineup: from what the caller calls a model to networks that are ready to run, one or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from unbraid.config import unstructure
from unbraid.engine.backends.choose import Loaded, backend
from unbraid.engine.chain import BlendStep, Chain, LevelOf, SeparateStep, SumStep
from unbraid.engine.ensemble import Ensemble, Part
from unbraid.engine.finish import stem_groups
from unbraid.engine.mix import Domain, Rule
from unbraid.engine.plan import Window
from unbraid.engine.tune import Choice, choose
from unbraid.errors import UsageError
from unbraid.progress import Reporter, Stage
from unbraid.spec import ModelSpec
from unbraid.zoo import cache
from unbraid.zoo.chains import ChainCard, chain_for
from unbraid.zoo.ensembles import ensemble_for
from unbraid.zoo.load import network, resolve
from unbraid.zoo.steps import Blend, Separate, unspelt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from unbraid.engine.chain import Step
    from unbraid.engine.plan import Plan
    from unbraid.engine.runtime import Runtime
    from unbraid.zoo.checkpoint import Checkpoint
    from unbraid.zoo.ensembles import EnsembleCard
    from unbraid.zoo.steps import Subtract, Sum

    Groups = Mapping[str, tuple[str, ...]]
    Offer = ModelSpec | Checkpoint | EnsembleCard | ChainCard


@dataclass(frozen=True, slots=True)
class Scored:
    """How a model was scored, as far as its plan can say it; the defaults are what Demucs is scored with.

    Args:
        overlap: Of segments, as a fraction of one.
        window: How a segment's samples count where segments overlap.
    """

    overlap: float = 0.25
    window: Window = Window.TRIANGLE


def groups_of(offer: Offer, stems: Sequence[str] | None, *, addable: bool) -> Groups:
    """Which sources make up each stem that is asked of a network, a model, an ensemble or a chain.

    Args:
        offer: What is known of it.
        stems: As for `stem_groups`; of a chain, any signal that its steps make.
        addable: Whether the stems must be meant to add up to the mixture.

    Raises:
        UsageError: If the stems do not fit what is offered.
    """
    if not isinstance(offer, ChainCard):
        return stem_groups(stems, offer.sources, addable=addable)
    groups = stem_groups(stems, offer.sources, between=offer.between)
    if addable and not offer.adds_up(source for members in groups.values() for source in members):
        raise UsageError(
            f"{', '.join(groups)} of {offer.name} do not add up to the mixture, by what its steps say; ask "
            "for stems that do, or leave the sum off"
        )
    return groups


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
        chain: What they do together.
        how: What a sidecar says of that.
    """

    name: str
    groups: Groups
    players: tuple[Player, ...]
    chain: Chain
    how: Mapping[str, Any]

    @classmethod
    def of_ensemble(
        cls, name: str, groups: Groups, players: tuple[Player, ...], ensemble: Ensemble
    ) -> Lineup:
        """One ensemble that hears the mixture."""
        how = {
            "rule": ensemble.rule.value,
            "domain": ensemble.domain.value,
            "steps": None,
            "level": None,
        }
        return cls(name, groups, players, Chain.alone(ensemble), how)

    def to_json(self) -> dict[str, Any]:
        """What a sidecar says of it."""
        return {"networks": [player.to_json() for player in self.players], **self.how}

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
        groups: From what is known of the model to the sources of each stem.
        plan: From a network's facts, how it was scored, and whether it plays alone, to its plan.
        runtime: Where networks run.
        options: For `zoo.load.resolve`.
        config: The file that describes the checkpoint of the one model; None: none.
    """

    groups: Callable[[Offer], Groups]
    plan: Callable[[ModelSpec, Scored, bool], Plan]
    runtime: Runtime
    options: Mapping[str, Any]
    config: str | Path | None = None

    def find(self, model: str | Path | nn.Module) -> Lineup:
        """The lineup for the name of a model, an ensemble or a preset, a path, or a network.

        Raises:
            ModelError: If there is no such model, or its weights cannot be had.
            UsageError: If the stems do not fit the model, the network has no spec, or a configuration file is
                given for what is no checkpoint.
        """
        several = None if isinstance(model, nn.Module) else chain_for(model) or ensemble_for(model)
        if self.config is not None and (several is not None or isinstance(model, nn.Module)):
            what = several.name if several else type(model).__name__
            raise UsageError(f"{what} is no checkpoint; --config describes the file of one")
        if isinstance(several, ChainCard):
            return self._one_after_another(several)
        if several is not None:
            return self._together(several)
        player = self._player(model, counts=None, alone=True)
        runner = player.part.backend
        alone = Ensemble.alone(runner, player.part.plan)
        return Lineup.of_ensemble(player.name, self.groups(runner.spec), (player,), alone)

    def _together(self, card: EnsembleCard) -> Lineup:
        groups = self.groups(card)
        players, ensemble = self._ensemble(
            card, {source for members in groups.values() for source in members}
        )
        return Lineup.of_ensemble(card.name, groups, players, ensemble)

    def _one_after_another(self, card: ChainCard) -> Lineup:
        groups = self.groups(card)
        sources = tuple(dict.fromkeys(source for members in groups.values() for source in members))
        wanted, written = card.wanted(sources), card.needed(sources)
        players: list[Player] = []
        steps: list[Step] = []
        for step in written:
            if isinstance(step, Separate):
                more, found = self._separation(step, wanted)
                players += more
                steps.append(found)
            else:
                steps.append(_mixing(step))
        chain = Chain(tuple(steps), sources, complete=card.adds_up(sources), level=LevelOf(card.about.level))
        how = {
            "rule": None,
            "domain": None,
            "steps": [unspelt(step) for step in written],
            "level": card.about.level,
        }
        return Lineup(card.name, groups, tuple(players), chain, how)

    def _separation(self, step: Separate, wanted: Collection[str]) -> tuple[tuple[Player, ...], SeparateStep]:
        """The networks of a step, and what they do, for the signals that are wanted of it."""
        into = {source: name for source, name in step.signals.items() if name in wanted}
        card = step.ensemble
        if card is not None:
            players, ensemble = self._ensemble(card, into)
        else:
            player = self._player(step.model, counts=None, alone=False)
            players, ensemble = (player,), Ensemble.alone(player.part.backend, player.part.plan)
        return players, SeparateStep(step.separate, ensemble, into)

    def _ensemble(self, card: EnsembleCard, needed: Collection[str]) -> tuple[tuple[Player, ...], Ensemble]:
        """The members of an ensemble that the needed sources need."""
        heard = card.heard(needed)
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
        return tuple(players), ensemble

    def _player(
        self, model: str | Path | nn.Module, *, counts: Mapping[str, float] | None, alone: bool
    ) -> Player:
        if isinstance(model, nn.Module):
            loaded, name, fingerprint, scored = model, type(model).__name__.lower(), "", Scored()
        else:
            found = resolve(model, config=self.config, **self.options)
            loaded, name, fingerprint = network(found), found.name, found.fingerprint
            scored = Scored(found.overlap, found.window)
        spec = getattr(loaded, "spec", None)
        if not isinstance(spec, ModelSpec):
            raise UsageError(
                f"a {type(loaded).__name__} has no `spec: ModelSpec` that says what it separates"
            )
        plan = self.plan(spec, scored, alone)
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


def _mixing(step: Blend | Subtract | Sum) -> Step:
    """What a written step without a network does."""
    if isinstance(step, Blend):
        return BlendStep(step.counts, step.into, Rule(step.rule), Domain(step.domain))
    return SumStep(step.factors, step.into)
