"""Ensemble: the models that separate a recording together. One model alone is an ensemble of one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.engine.adapter import Adapter
from unbraid.engine.blend import Blend, flow_of
from unbraid.engine.mix import Domain, Rule, Voice, VoiceMix
from unbraid.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.plan import Plan
    from unbraid.engine.stream import Flow
    from unbraid.engine.survey import Survey


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

    def flow(self, survey: Survey, signal: str, *, batch_size: int) -> Flow:
        """Blocks of a signal in, finished samples of the sources out.

        Args:
            survey: What is known of the recording.
            signal: What is heard: the mixture, or something made of it.
            batch_size: Segments given to a backend at once.
        """
        adapters = [
            Adapter(
                part.backend.spec,
                functools.partial(flow_of, part.backend, part.plan, batch_size=batch_size),
                sample_rate=survey.sample_rate,
                layout=survey.layout,
                length=survey.length,
                levels=survey.levels(signal, part),
            )
            for part in self.parts
        ]
        return Blend(adapters, self.mix())
