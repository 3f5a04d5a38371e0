"""Blend: several flows over one mixture made one. Shifts and ensembles are the same thing here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.engine.align import Alignment
from unbraid.engine.mix import Mean
from unbraid.engine.stream import Flow, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.mix import Mix
    from unbraid.engine.plan import Plan


class LeadIn:
    """A flow that hears some silence before the track: a pass over a shifted grid of segments.

    Args:
        flow: What is given the lead-in.
        silence: Samples of it.
    """

    def __init__(self, flow: Flow, silence: int) -> None:
        self._flow = flow
        self._to_hear = self._to_drop = silence

    def push(self, block: Tensor, /) -> Tensor:
        """`(C, n)` in, `(S, C, m)` out: the track's samples only."""
        heard = torch.cat([block.new_zeros(block.shape[0], self._to_hear), block], -1)
        self._to_hear = 0
        return self._without_lead_in(self._flow.push(heard))

    def finish(self) -> Tensor:
        """The rest, `(S, C, m)`."""
        return self._without_lead_in(self._flow.finish())

    def _without_lead_in(self, estimates: Tensor) -> Tensor:
        dropped = min(self._to_drop, estimates.shape[-1])
        self._to_drop -= dropped
        return estimates[..., dropped:]


class Blend:
    """Several flows over one mixture made one, given as soon as the slowest has it.

    Args:
        flows: At least one, all with the same channels.
        mix: How; None: their mean.
    """

    def __init__(self, flows: Sequence[Flow], mix: Mix | None = None) -> None:
        self._flows = list(flows)
        self._mix = mix or Mean()
        self._alignment = Alignment()

    def push(self, block: Tensor, /) -> Tensor:
        """`(C, n)` in, `(S, C, m)` out: what every flow has finished."""
        return self._mix.push(self._alignment.push(flow.push(block) for flow in self._flows))

    def finish(self) -> Tensor:
        """The rest, `(S, C, m)`."""
        return self._mix.finish(self._alignment.push(flow.finish() for flow in self._flows))


def flow_of(backend: Backend, plan: Plan, *, batch_size: int = 1) -> Flow:
    """The flow that a plan asks for: one stream, or the blend of its shifted passes."""
    streams = [LeadIn(Stream(backend, plan, batch_size=batch_size), lead) for lead in plan.lead_ins]
    return Blend(streams) if len(streams) > 1 else Stream(backend, plan, batch_size=batch_size)
