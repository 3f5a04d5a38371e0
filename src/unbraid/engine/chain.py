"""Chain: steps from a recording to its stems, each hearing the recording or what an earlier step made.

    mixture ─┬─ separate ─┬─ vocals ─── separate ─┬─ lead_vocals
             │            │                       └─ backing_vocals
             └────────────┴─ subtract ── band

All steps work side by side, block by block: a step is given what all that it hears have by now, and holds
back what some of them have too early. One ensemble alone is a chain of one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import torch

from unbraid.engine.align import Alignment
from unbraid.engine.mix import Domain, Rule, Voice, VoiceMix, WeightedSum
from unbraid.engine.order import MIXTURE, in_order, needed
from unbraid.engine.survey import Survey
from unbraid.errors import PlanError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unbraid.engine.ensemble import Ensemble, Part
    from unbraid.engine.mix import Mix
    from unbraid.engine.stream import Flow


class LevelOf(str, Enum):
    """What a levelled network of a later step is levelled by."""

    MIXTURE = "mixture"  # the mixture's deviation: known before anything is separated
    HEARD = "heard"  # what it hears: takes a pass of its own, in which all earlier networks run


class Step(Protocol):
    """Signals in, signals out."""

    @property
    def hears(self) -> tuple[str, ...]:
        """Names of the signals it needs."""

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the signals it gives."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The networks in it."""

    def begin(self, survey: Survey, *, batch_size: int) -> Mix:
        """What does it, for one recording: `(1, C, n)` of each signal heard in, a row for each made out."""


@dataclass(frozen=True, slots=True, eq=False)
class SeparateStep:
    """Networks make several signals of one.

    Args:
        signal: What they hear.
        ensemble: The networks.
        into: The names of what they make, by source; sources that are not named are let go.

    Raises:
        PlanError: If the ensemble does not make a source.
    """

    signal: str
    ensemble: Ensemble
    into: Mapping[str, str]

    def __post_init__(self) -> None:
        for source in self.into:
            if source not in self.ensemble.sources:
                made = self.ensemble.sources
                raise PlanError(
                    f"a chain wants {source!r} of what makes {', '.join(made)}{did_you_mean(source, made)}"
                )

    @property
    def hears(self) -> tuple[str, ...]:
        """The one signal."""
        return (self.signal,)

    @property
    def makes(self) -> tuple[str, ...]:
        """The names of what is made."""
        return tuple(self.into.values())

    @property
    def parts(self) -> tuple[Part, ...]:
        """The networks."""
        return self.ensemble.parts

    def begin(self, survey: Survey, *, batch_size: int) -> Mix:
        """The ensemble's flow, of which some sources are taken."""
        rows = [self.ensemble.sources.index(source) for source in self.into]
        return _Separation(self.ensemble.flow(survey, self.signal, batch_size=batch_size), rows)


@dataclass(frozen=True, slots=True, eq=False)
class SumStep:
    """A weighted sum of signals: sums and differences.

    Args:
        factors: Of each signal that is added.
        into: The name of the sum.
    """

    factors: Mapping[str, float]
    into: str

    @property
    def hears(self) -> tuple[str, ...]:
        """What is added."""
        return tuple(self.factors)

    @property
    def makes(self) -> tuple[str, ...]:
        """The sum."""
        return (self.into,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """None: no network is needed."""
        return ()

    def begin(self, survey: Survey, *, batch_size: int) -> Mix:  # noqa: ARG002 - sums need neither
        """The sum of what is heard."""
        return WeightedSum(tuple(self.factors.values()))


@dataclass(frozen=True, slots=True, eq=False)
class BlendStep:
    """Several estimates of one thing made one.

    Args:
        weights: Of each estimate, positive; they count where a mean is taken.
        into: The name of what comes out.
        rule: What becomes of them.
        domain: Where the rule is applied.
    """

    weights: Mapping[str, float]
    into: str
    rule: Rule = Rule.MEAN
    domain: Domain = Domain.WAVEFORM

    @property
    def hears(self) -> tuple[str, ...]:
        """The estimates."""
        return tuple(self.weights)

    @property
    def makes(self) -> tuple[str, ...]:
        """What becomes of them."""
        return (self.into,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """None: no network is needed."""
        return ()

    def begin(self, survey: Survey, *, batch_size: int) -> Mix:  # noqa: ARG002 - blends need neither
        """The rule at work."""
        voices = [Voice(flow, 0, weight) for flow, weight in enumerate(self.weights.values())]
        return VoiceMix({self.into: voices}, self.rule, self.domain)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Steps, and which of the signals that they make come out.

    Args:
        steps: Each hears the mixture or what an earlier one made.
        sources: What comes out, in order.
        complete: Whether the sources together are meant to be the mixture.
        level: What the networks of later steps are levelled by.

    Raises:
        ConfigError: If a step hears what no step makes, a signal is made twice, or steps wait for each other.
        PlanError: If the steps are out of order, or no step makes a source.
    """

    steps: tuple[Step, ...]
    sources: tuple[str, ...]
    complete: bool = True
    level: LevelOf = LevelOf.MIXTURE

    def __post_init__(self) -> None:
        if in_order(self.steps) != self.steps:
            raise PlanError("a chain's steps hear what only later steps make")
        made = [name for step in self.steps for name in step.makes]
        unknown = [source for source in self.sources if source not in made]
        if unknown or not self.sources:
            raise PlanError(
                f"a chain gives {', '.join(made)}, and was asked for {', '.join(unknown) or 'nothing'}"
            )

    @classmethod
    def alone(cls, ensemble: Ensemble) -> Chain:
        """One ensemble, as it is."""
        step = SeparateStep(MIXTURE, ensemble, {source: source for source in ensemble.sources})
        return cls((step,), ensemble.sources, ensemble.complete)

    def prepare(self, seconds: float) -> None:
        """Begin what the networks need for a recording of this length."""
        for step in self.steps:
            for part in step.parts:
                if seconds * part.backend.spec.sample_rate >= part.plan.segment:
                    part.backend.prepare()

    def survey(self, sample_rate: int, layout: Sequence[str]) -> Survey:
        """What must be known of a recording before it is separated.

        Args:
            sample_rate: The recording's, in Hz.
            layout: A speaker's name for each of its channels.
        """
        return Survey(self, sample_rate, layout)

    def rounds(self) -> list[dict[str, list[Part]]]:
        """For each pass that must come first, the signals to measure, with the parts that hear them."""
        if self.level is LevelOf.MIXTURE:
            return [{MIXTURE: [part for step in self.steps for part in _levelled(step)]}]
        first: dict[str, int] = {MIXTURE: 0}  # the first pass in which a signal can be heard
        found: list[dict[str, list[Part]]] = [{MIXTURE: []}]
        for step in self.steps:
            heard, levelled = max(first[name] for name in step.hears), _levelled(step)
            # Whatever is made of the mixture needs its length, which the first pass finds out.
            first.update(dict.fromkeys(step.makes, heard + 1 if levelled else max(1, heard)))
            if levelled:
                found += [{} for _ in range(heard + 1 - len(found))]
                found[heard].setdefault(step.hears[0], []).extend(levelled)
        return found

    def flow(self, survey: Survey, signals: Sequence[str] | None = None, *, batch_size: int = 1) -> Flow:
        """Blocks of the surveyed recording in, finished samples of signals out.

        Args:
            survey: What is known of the recording; of all that the signals need.
            signals: What comes out; None: the sources.
            batch_size: Segments given to a backend at once.
        """
        wanted = self.sources if signals is None else tuple(signals)
        steps = [(step, step.begin(survey, batch_size=batch_size)) for step in needed(self.steps, wanted)]
        return Course(steps, wanted, channels=len(survey.layout))


def _levelled(step: Step) -> list[Part]:
    """The networks of a step that must know how loud it is what they hear."""
    return [part for part in step.parts if part.backend.spec.levelled]


class Course:
    """A chain's steps at work on one recording: a flow of some of its signals.

    Args:
        steps: In order, each with what does it.
        signals: What comes out.
        channels: Of the recording.
    """

    def __init__(self, steps: Sequence[tuple[Step, Mix]], signals: Sequence[str], *, channels: int) -> None:
        self._steps = [(step, mix, Alignment()) for step, mix in steps]
        self._signals, self._channels = tuple(signals), channels
        self._outlet = Alignment()

    def push(self, block: Tensor, /) -> Tensor:
        """`(C, n)` in, `(S, C, m)` out."""
        return self._advance(block, last=False)

    def finish(self) -> Tensor:
        """The rest, `(S, C, m)`."""
        return self._advance(torch.zeros(self._channels, 0), last=True)

    def _advance(self, block: Tensor, *, last: bool) -> Tensor:
        fresh = {MIXTURE: block[None]}  # what is new of each signal, (1, C, n)
        for step, mix, alignment in self._steps:
            heard = alignment.push(fresh[name] for name in step.hears)
            made = mix.finish(heard) if last else mix.push(heard)  # (S, C, m)
            fresh.update(zip(step.makes, made[:, None], strict=True))
        return torch.cat(self._outlet.push(fresh[name] for name in self._signals))


class _Separation:
    """A flow as a step: what it hears is one signal, what it makes are some of its sources.

    Args:
        flow: From `(C, n)` to `(S, C, m)`.
        rows: Of the sources that are kept.
    """

    def __init__(self, flow: Flow, rows: Sequence[int]) -> None:
        self._flow, self._rows = flow, list(rows)

    def push(self, estimates: Sequence[Tensor], /) -> Tensor:
        """`(1, C, n)` of the signal in, `(S, C, m)` out."""
        return self._flow.push(estimates[0][0])[self._rows]

    def finish(self, estimates: Sequence[Tensor], /) -> Tensor:
        """The signal's last samples in, the rest out."""
        last = self.push(estimates)
        return torch.cat([last, self._flow.finish()[self._rows]], -1)
