"""A whole recording through the engine, at constant memory: once to measure it, once to separate it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.engine.finish import distribute_residual, group
from unbraid.engine.pipeline import ahead
from unbraid.errors import AudioError
from unbraid.progress import Reporter, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from unbraid.engine.chain import Chain
    from unbraid.engine.survey import Survey
    from unbraid.io.source import Source
    from unbraid.progress import Listener


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Finished samples, side by side with the mixture they come from.

    Args:
        mixture: `(channels, n)`.
        stems: `(stems, channels, n)`.
        residual: The mixture minus all estimates, `(channels, n)`, float64; None where not all were made.
    """

    mixture: Tensor
    stems: Tensor
    residual: Tensor | None


class TwoPasses:
    """The pieces of a recording's stems, in order, as they are finished; to be gone through once.

    Args:
        source: The recording; it is read for each pass.
        chain: What separates it.
        groups: The sources of each stem.
        exact: Whether the residual is shared out, so that the stems add up to the mixture.
        batch_size: Segments given to the backend at once.
        pace: Seconds that the networks take for a second of the recording, as measured before; None: unknown.
        listener: Told how far each pass is.
        cancel: Stops the work.
    """

    def __init__(
        self,
        source: Source,
        chain: Chain,
        groups: Mapping[str, Sequence[str]],
        *,
        exact: bool,
        batch_size: int = 1,
        pace: float | None = None,
        listener: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self._source, self._chain, self._groups = source, chain, groups
        self._exact, self._batch_size, self._pace = exact, batch_size, pace
        self._listener, self._cancel = listener, cancel
        self._survey: Survey | None = None

    def survey(self) -> Survey:
        """The first pass, made when first asked for: length, level, every sample seen to be finite.

        A chain whose later networks are levelled by what they hear takes further passes.
        """
        if self._survey is None:
            self._chain.prepare((self._source.length or 0) / self._source.sample_rate)
            survey = self._chain.survey(self._source.sample_rate, self._source.layout)
            for measurement in survey.passes(batch_size=self._batch_size):
                reporter = self.reporter(Stage.MEASURE, self._source.length)
                for block in ahead(self._source.read()):
                    measurement.push(block)
                    reporter.advance(block.shape[-1])
            self._survey = survey
        return self._survey

    def __iter__(self) -> Iterator[Piece]:
        """The second pass: the networks run, pieces come out beside their mixture; none of them is empty."""
        return (piece for piece in self._pieces() if piece.stems.shape[-1])

    def _pieces(self) -> Iterator[Piece]:
        """What comes out for each block, which may be nothing, and for the end."""
        survey = self.survey()
        flow = self._chain.flow(survey, batch_size=self._batch_size)
        reporter = self.reporter(Stage.SEPARATE, survey.length)
        mixture = _Queue(len(self._source.layout))
        for block in ahead(self._source.read()):
            mixture.put(block)
            yield self._piece(flow.push(block), mixture, reporter)
        if mixture.received != survey.length:
            raise AudioError(
                f"{self._source.name} gave another length when it was read again; is it being written to?"
            )
        yield self._piece(flow.finish(), mixture, reporter)

    def reporter(self, stage: Stage, total: int | None) -> Reporter:
        """A reporter for one stage of this recording."""
        expected = None
        if stage is Stage.SEPARATE and self._pace and total is not None:
            expected = self._pace * total / self._source.sample_rate
        return Reporter(
            stage, self._source.name, total, self._listener, self._cancel, expected_seconds=expected
        )

    def _piece(self, estimates: Tensor, mixture: _Queue, reporter: Reporter) -> Piece:
        original = mixture.take(estimates.shape[-1])
        stems = group(estimates, self._groups, self._chain.sources)
        if self._exact:
            stems = distribute_residual(stems, original)
        left = None
        if self._chain.complete:
            left = original.double() - (stems if self._exact else estimates).double().sum(0)
        reporter.advance(estimates.shape[-1])
        return Piece(original, stems, left)


class _Queue:
    """Samples that wait for their estimates."""

    def __init__(self, channels: int) -> None:
        self._blocks: deque[Tensor] = deque()
        self._empty = torch.zeros(channels, 0)
        self.received = 0

    def put(self, block: Tensor) -> None:
        self._blocks.append(block)
        self.received += block.shape[-1]

    def take(self, count: int) -> Tensor:
        taken = [self._empty]
        while count:
            block = self._blocks.popleft()
            if block.shape[-1] > count:
                self._blocks.appendleft(block[:, count:])
                block = block[:, :count]
            taken.append(block)
            count -= block.shape[-1]
        return torch.cat(taken, -1)
