"""Backends that stand in for a network, each with one property that a test can check."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from unbraid.spec import ModelSpec


def spec_of(segment: int, *, sources: int = 2, **facts) -> ModelSpec:
    """A spec with short segments at a low rate."""
    names = ("vocals", "drums", "bass", "other")[:sources]
    return ModelSpec(names, **{"sample_rate": 1000, "channels": 2, "segment": segment, **facts})


@dataclass
class Identity:
    """Every source is the mixture; remembers the shapes of what it was given."""

    spec: ModelSpec
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, batch):
        self.seen.append(tuple(batch.shape))
        assert self.spec.accepted_length(batch.shape[-1]) == batch.shape[-1]
        return batch[:, None].expand(-1, len(self.spec.sources), -1, -1)

    def prepare(self):
        """Nothing takes long."""

    def close(self):
        """Nothing to let go of."""


class Gain(Identity):
    """Source k is the mixture times (k + 1) / 10."""

    def run(self, batch):
        gains = torch.arange(1, len(self.spec.sources) + 1) / 10
        return super().run(batch) * gains[:, None, None]


class EdgeSensitive(Identity):
    """Multiplies by the distance to the nearer edge of the segment: the answer depends on the grid."""

    def run(self, batch):
        length = batch.shape[-1]
        position = torch.arange(1, length + 1)
        return super().run(batch) * torch.minimum(position, position.flip(0)) / length


class BlindAtEdges(Identity):
    """Gives NaN over the context at each edge, as a network may that must not be trusted there."""

    def run(self, batch):
        estimates = super().run(batch).clone()
        context = self.spec.context
        estimates[..., :context] = torch.nan
        estimates[..., batch.shape[-1] - context :] = torch.nan
        return estimates


class Split(Identity):
    """Shares the mixture out so that the sources add up to a little less than it."""

    def run(self, batch):
        shares = torch.tensor([0.5, 0.3, 0.15, 0.04])[: len(self.spec.sources)]
        return super().run(batch) * shares[:, None, None]


def dies(*_):
    """Ends its process with code 9; it stands here, where a new process finds it by the same name."""
    raise SystemExit(9)
