"""Stream: separation as a flow of blocks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from unbraid.engine.overlap_add import OverlapAdd
from unbraid.errors import PlanError, ShapeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.plan import Plan


class Flow(Protocol):
    """Anything that takes blocks of a mixture and gives finished samples of its sources."""

    def push(self, block: Tensor, /) -> Tensor:
        """`(C, n)` in, `(S, C, m)` out, `m ≥ 0`."""

    def finish(self) -> Tensor:
        """The rest, `(S, C, m)`; afterwards the flow is closed."""


class Stream:
    """Separation as a flow: blocks of any size in, finished samples out.

    It holds a few segments, whatever the length of the track, and its answer depends neither on the size of
    the blocks nor on `batch_size`. Where a network takes longer segments than a core needs (at the end of a
    track, or when it takes one length only), the core sits in the middle of what the network is given, with
    real neighbours on both sides as far as there are any and silence beyond.

    Args:
        backend: Runs the network; stays the caller's to close.
        plan: Decides the answer.
        batch_size: Segments given to the backend at once: speed, never sound.

    Raises:
        PlanError: If the plan's segment is longer than the network takes, or the batch is empty.
    """

    def __init__(self, backend: Backend, plan: Plan, *, batch_size: int = 1) -> None:
        spec = backend.spec
        if plan.segment > spec.limit or plan.context < spec.context or batch_size < 1:
            raise PlanError(
                f"segment {plan.segment}, context {plan.context} and batch size {batch_size} do not fit a "
                f"network with segments of at most {spec.limit} and a context of at least {spec.context}"
            )
        self._backend, self._plan, self._batch_size = backend, plan, batch_size
        self._blocks: list[Tensor] = []
        self._origin = 0  # position in the track of the first sample still held
        self._received = 0
        self._next = 0  # where the next core starts
        self._overlap_add = OverlapAdd(partial(plan.window.weights, plan.core), plan.stride)
        self._closed = False

    @property
    def latency(self) -> int:
        """Samples that must have come in before the first go out."""
        _, end = self._extent(0, self._plan.core)
        return end + (self._batch_size - 1) * self._plan.stride

    def push(self, block: Tensor, /) -> Tensor:
        """Take a block and give what is finished.

        Args:
            block: `(channels, n)`, any `n`; it is copied, never written to.

        Returns:
            `(sources, channels, m)`, `m ≥ 0`.

        Raises:
            ShapeError: If the block has other channels than the network takes.
            UsageError: If the stream is closed.
        """
        self._require_open()
        if block.ndim != 2 or block.shape[0] != self._backend.spec.channels:
            raise ShapeError(
                f"a block of {tuple(block.shape)} was pushed; this stream takes "
                f"({self._backend.spec.channels}, n)"
            )
        self._blocks.append(block.detach().to("cpu", torch.float32, copy=True))
        self._received += block.shape[-1]
        finished = []
        while (
            self._extent(self._next + (self._batch_size - 1) * self._plan.stride, self._plan.core)[1]
            <= self._received
        ):
            finished += self._run([self._plan.core] * self._batch_size)
        return self._joined(finished)

    def finish(self) -> Tensor:
        """Separate what is left; afterwards the stream is closed.

        Returns:
            `(sources, channels, m)`: all that `push` has not given yet.

        Raises:
            UsageError: If the stream is closed already.
        """
        self._require_open()
        self._closed = True
        finished = []
        while self._next < self._received:
            if self._plan.fit and self._next and self._is_covered():
                finished.append(self._overlap_add.rest(self._received - self._next))
                break
            lengths = [
                min(self._plan.core, self._received - start)
                for start in range(self._next, self._received, self._plan.stride)[: self._batch_size]
            ]
            # Rows of one batch are given alike; a shorter one waits for a batch of its own.
            first = self._given(lengths[0])
            alike = [length for length in lengths if self._given(length) == first]
            finished += self._run(alike)
        return self._joined(finished)

    def _is_covered(self) -> bool:
        """Whether the cores so far reach to the end of the track."""
        return self._next - self._plan.stride + self._plan.core >= self._received

    def _given(self, core: int) -> int:
        """How many samples the network is given for a core of this length."""
        return self._backend.spec.accepted_length(core + 2 * self._plan.context)

    def _extent(self, start: int, core: int) -> tuple[int, int]:
        """First and last-plus-one sample given for the core at `start`, which is in their middle."""
        given = self._given(core)
        left = start - (given - core) // 2
        return left, left + given

    def _run(self, cores: list[int]) -> list[Tensor]:
        """Separate the next cores, of these lengths, as one batch."""
        held = torch.cat(self._blocks, -1)
        starts = [self._next + row * self._plan.stride for row in range(len(cores))]
        extents = [self._extent(start, core) for start, core in zip(starts, cores, strict=True)]
        batch = torch.stack([self._slice(held, *extent) for extent in extents])
        estimates = self._estimates(batch)  # (B, S, C, T)
        finished = []
        for estimate, start, core, (left, _) in zip(estimates, starts, cores, extents, strict=True):
            finished.append(self._overlap_add.add(estimate[..., start - left : start - left + core]))
        self._next += len(cores) * self._plan.stride
        self._forget(held)
        return finished

    def _estimates(self, batch: Tensor) -> Tensor:
        """What the network makes of a batch, which is not asked about silence that it leaves silent."""
        spec = self._backend.spec
        if spec.silent and not batch.any():
            return batch.new_zeros(1, 1, 1, 1).expand(len(batch), len(spec.sources), *batch.shape[1:])
        return self._backend.run(batch)

    def _slice(self, held: Tensor, left: int, right: int) -> Tensor:
        """Samples `left` to `right` of the track, silence outside it; always a copy."""
        inside = held[:, max(left - self._origin, 0) : max(right - self._origin, 0)]
        before = max(0, -left)
        samples = held.new_zeros(held.shape[0], right - left)
        samples[:, before : before + inside.shape[-1]] = inside
        return samples

    def _forget(self, held: Tensor) -> None:
        """Keep only what a later core may still need: half of what is given lies before a core's middle."""
        keep_from = max(0, self._next - self._given(self._plan.core) // 2)
        self._blocks = [held[:, max(0, keep_from - self._origin) :].clone()]
        self._origin = max(self._origin, min(keep_from, self._received))

    def _joined(self, finished: list[Tensor]) -> Tensor:
        spec = self._backend.spec
        if not finished:
            return torch.zeros(len(spec.sources), spec.channels, 0)
        return torch.cat(finished, -1)

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("this stream is finished; make a new one for the next track")
