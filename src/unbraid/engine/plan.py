"""Plan: everything that decides the answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch

from unbraid.errors import PlanError

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.spec import ModelSpec


_LEAST_WEIGHT = 1e-9  # −180 dB, so that each sample has some weight
_MOST_OVERLAP = 0.99  # a hundred passes over each sample; beyond it a typing error costs days


class Window(str, Enum):
    """How a segment's samples count where segments overlap."""

    TRIANGLE = "triangle"  # most in the middle; the published choice of Demucs
    FLAT = "flat"  # all alike
    FADE = "fade"  # all alike, but for a tenth at each end; the published choice of most newer networks

    def weights(self, length: int, first: int | None = None) -> Tensor:
        """Positive weights for `length` samples, in float64, the largest being 1.

        Args:
            length: Of the window.
            first: Only so many weights, from its beginning; None: all.

        >>> Window.TRIANGLE.weights(5).tolist()
        [0.3333333333333333, 0.6666666666666666, 1.0, 0.6666666666666666, 0.3333333333333333]
        """
        count = length if first is None else min(first, length)
        if self is Window.FLAT:
            return torch.ones(count, dtype=torch.float64)
        if self is Window.FADE:
            return _faded(length, count)
        place = torch.arange(1, count + 1, dtype=torch.float64)
        return torch.minimum(place, length + 1 - place) / ((length + 1) // 2)


def _faded(length: int, count: int) -> Tensor:
    """The first `count` weights of a window that rises and falls along a tenth of it.

    The outermost weights are next to nothing, and nothing in the published program: where no other segment
    reaches, it has silence.

    Source: github.com/ZFTurbo/Music-Source-Separation-Training, utils/model_utils.py.

    >>> _faded(30, 4).tolist()
    [1e-09, 0.5, 1.0, 1.0]
    """
    fade = length // 10
    place = torch.arange(count, dtype=torch.float64)
    distance = torch.minimum(place, length - 1 - place)
    return (distance / max(1, fade - 1)).clamp(_LEAST_WEIGHT, 1) if fade else torch.ones_like(place)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the answer. Equal plans give equal audio.

    A track is cut into *cores*, one each `stride` samples; a segment is a core with `context` more samples
    on each side, which the network sees but whose estimates are not trusted::

        segment 0   [context|-------- core --------|context]
        segment 1           [context|-------- core --------|context]
                     <--- stride --->

    Args:
        segment: Samples given to the network at once.
        stride: Samples between the starts of two segments.
        context: Samples at each edge of a segment that are computed but not trusted.
        window: Weights of a core's samples where cores overlap.
        shifts: Passes over shifted segment grids, averaged; the first is not shifted.
        max_shift: Samples by which a pass may be shifted at most.
        seed: Of the shifts.
        fit: Whether a last core is left out that reaches no sample that those before it do not reach. The
            published programs run it.

    Raises:
        PlanError: If some sample would lie in no core, or a number is out of range.
    """

    segment: int
    stride: int
    context: int = 0
    window: Window = Window.TRIANGLE
    shifts: int = 1
    max_shift: int = 0
    seed: int = 0
    fit: bool = False

    def __post_init__(self) -> None:
        if self.segment < 1 or self.stride < 1 or self.context < 0 or self.shifts < 1:
            raise PlanError(
                f"a plan has segment {self.segment}, stride {self.stride}, context {self.context} and "
                f"{self.shifts} shifts; the context may be 0, the others must be at least 1"
            )
        if self.stride > self.core:
            raise PlanError(
                f"a stride of {self.stride} samples would skip some: a segment of {self.segment} less "
                f"its context covers {max(self.core, 0)}; make the overlap larger"
            )
        if self.shifts > 1 and self.max_shift < 1:
            raise PlanError(
                f"{self.shifts} shifts need a max_shift of at least 1 sample, not {self.max_shift}"
            )

    @property
    def core(self) -> int:
        """Trusted samples of a segment."""
        return self.segment - 2 * self.context

    @property
    def lead_ins(self) -> tuple[int, ...]:
        """Silent samples put before the track in each pass; drawn from the seed, the first is 0."""
        draw = random.Random(self.seed)  # noqa: S311 - repeatable on purpose, nothing is secret
        return (0, *(draw.randint(1, self.max_shift) for _ in range(self.shifts - 1)))

    @classmethod
    def for_spec(
        cls,
        spec: ModelSpec,
        *,
        overlap: float = 0.25,
        shifts: int = 1,
        seed: int = 0,
        segment: int | None = None,
        fit: bool = False,
        window: Window = Window.TRIANGLE,
    ) -> Plan:
        """The usual plan for a network.

        Args:
            spec: What the network says of itself.
            overlap: Share of a core that the next one covers again, from 0 to 0.99.
            shifts: Passes to average, each displaced by up to half a second.
            seed: Of the shifts.
            segment: Samples at once, up to the network's `limit`; None: as many as it is usually given.
            fit: Whether a last segment is left out that reaches nothing new.
            window: Weights of a core's samples where cores overlap.

        Returns:
            A plan that covers every sample.

        Raises:
            PlanError: If the overlap or the segment does not fit the network.

        >>> from unbraid.spec import ModelSpec
        >>> Plan.for_spec(ModelSpec(("vocals",), 44100, 2, segment=1000)).stride
        750
        """
        if not 0 <= overlap <= _MOST_OVERLAP:
            raise PlanError(
                f"an overlap of {overlap} was asked for; it is a share of a segment, "
                f"from 0 to {_MOST_OVERLAP}"
            )
        segment = spec.segment if segment is None else segment
        if segment > spec.limit or segment <= 2 * spec.context:
            raise PlanError(
                f"a segment of {segment / spec.sample_rate:.2f} s was asked for; this network takes "
                f"more than {2 * spec.context / spec.sample_rate:.2f} s and at most "
                f"{spec.limit / spec.sample_rate:.2f} s"
            )
        stride = max(1, int((1 - overlap) * (segment - 2 * spec.context)))
        reach = spec.sample_rate // 2
        return cls(segment, stride, spec.context, window, shifts, max_shift=reach, seed=seed, fit=fit)
