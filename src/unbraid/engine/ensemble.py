"""Ensemble: the models that separate a recording together. One model alone is an ensemble of one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.engine.blend import Blend, flow_of
from unbraid.engine.chain import Chain, LevelSurvey
from unbraid.engine.mix import Domain, Rule, Voice, VoiceMix
from unbraid.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.normalize import Level
    from unbraid.engine.plan import Plan
    from unbraid.engine.stream import Flow


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One model's part in an ensemble.

    Args:
        backend: Runs the network; stays the caller's to close.
        plan: Decides its answer.
        weights: How much it counts, for each of its sources that count; positive.
    """

    backend: Backend
    plan: Plan
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Models with rates, segments and sources of their own, and how their estimates become one.

    Args:
        parts: At least one.
        sources: What comes out, in order; each is in some part's weights.
        rule: What becomes of several estimates of one source.
        domain: Where the rule is applied.
        complete: Whether the sources together are meant to be the mixture.

    Raises:
        PlanError: If a part weighs a source that its network does not make, or nobody makes a source.
    """

    parts: tuple[Part, ...]
    sources: tuple[str, ...]
    rule: Rule = Rule.MEAN
    domain: Domain = Domain.WAVEFORM
    complete: bool = True

    def __post_init__(self) -> None:
        for part in self.parts:
            unknown = part.weights.keys() - set(part.backend.spec.sources)
            if unknown:
                raise PlanError(
                    f"an ensemble wants {', '.join(sorted(unknown))} of a network that makes "
                    f"{', '.join(part.backend.spec.sources)}"
                )
        self.mix()

    @classmethod
    def alone(cls, backend: Backend, plan: Plan) -> Ensemble:
        """One model, as it is."""
        sources = backend.spec.sources
        return cls((Part(backend, plan, dict.fromkeys(sources, 1.0)),), sources)

    def mix(self) -> VoiceMix:
        """What makes one stream of the parts' estimates; new for each recording."""
        voices = {
            source: [
                Voice(index, part.backend.spec.sources.index(source), part.weights[source])
                for index, part in enumerate(self.parts)
                if part.weights.get(source, 0) > 0
            ]
            for source in self.sources
        }
        return VoiceMix(voices, self.rule, self.domain)

    def survey(self, sample_rate: int, layout: Sequence[str]) -> Survey:
        """What must be known of a recording before it is separated.

        Args:
            sample_rate: The recording's, in Hz.
            layout: A speaker's name for each of its channels.
        """
        return Survey(self, sample_rate, layout)

    def flow(self, survey: Survey, *, batch_size: int) -> Flow:
        """Blocks of the surveyed recording in, finished samples of the sources out.

        Args:
            survey: All of the recording went through it.
            batch_size: Segments given to a backend at once.
        """
        chains = [
            Chain(
                part.backend.spec,
                functools.partial(flow_of, part.backend, part.plan, batch_size=batch_size),
                sample_rate=survey.sample_rate,
                layout=survey.layout,
                length=survey.length,
                levels=survey.levels(part),
            )
            for part in self.parts
        ]
        return Blend(chains, self.mix())


class Survey:
    """The first pass over a recording, for all parts at once; parts that hear alike share one.

    Args:
        ensemble: Whose parts.
        sample_rate: The recording's, in Hz.
        layout: A speaker's name for each of its channels.
    """

    def __init__(self, ensemble: Ensemble, sample_rate: int, layout: Sequence[str]) -> None:
        self.sample_rate, self.layout = sample_rate, layout
        self._surveys = {
            _hearing(part): LevelSurvey(part.backend.spec, sample_rate, layout) for part in ensemble.parts
        }
        self._levels: dict[tuple[int, int, bool], list[Level]] = {}

    @property
    def length(self) -> int:
        """Samples of the recording so far."""
        return next(iter(self._surveys.values())).length

    def push(self, block: Tensor) -> None:
        """Take in `(channels, n)` of the recording."""
        for survey in self._surveys.values():
            survey.push(block)

    def levels(self, part: Part) -> list[Level]:
        """What a part hears, as a level for each group of channels; to be asked at the end."""
        hearing = _hearing(part)
        if hearing not in self._levels:
            self._levels[hearing] = self._surveys[hearing].levels()
        return self._levels[hearing]


def _hearing(part: Part) -> tuple[int, int, bool]:
    """All of a network that matters to its level."""
    spec = part.backend.spec
    return spec.sample_rate, spec.channels, spec.levelled
