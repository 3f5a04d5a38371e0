"""Recordings, one after the other: each gets an outcome, and none stops the others."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from unbraid.cli import console
from unbraid.cli.interrupt import interruptible
from unbraid.cli.outcome import HEADINGS, Outcome
from unbraid.cli.pace import BatchClock
from unbraid.errors import Cancelled, PartialFailure, UnbraidError, UsageError
from unbraid.io.naming import check_collisions, inputs
from unbraid.io.probe import probe
from unbraid.progress import OutputReady, Stage
from unbraid.separator import Separator

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from unbraid.cli.request import Request
    from unbraid.delivery import Separation
    from unbraid.io.naming import Input
    from unbraid.progress import Event

logger = logging.getLogger(__name__)


def run(request: Request) -> None:
    """Separate everything that was asked for, and say what became of it.

    Args:
        request: The options.

    Raises:
        UsageError: If options contradict each other, or stems would collide or be overwritten unasked.
        UnbraidError: With one input, whatever it failed with.
        PartialFailure: With several inputs, if any of them failed.
        KeyboardInterrupt: On Ctrl-C; what was finished stays and is summed up.
    """
    batch = Batch(inputs(request.files), request)
    try:
        with interruptible() as cancel, batch.display:
            if batch.survey():
                with _separator(request, batch, cancel) as separator:
                    batch.separate(separator)
    finally:
        batch.report()
    batch.require_success()


def _separator(request: Request, batch: Batch, cancel: threading.Event) -> Separator:
    return Separator(
        request.model,
        stems=request.stem_names(),
        overlap=request.overlap,
        shifts=max(1, request.shifts),  # demucs' --shifts 0 is one pass, too
        segment_seconds=request.segment,
        seed=request.seed,
        sum=request.sum,
        device=request.device,
        threads=request.threads,
        offline=request.offline,
        weights_folder=request.weights_folder,
        on_event=batch.listen,
        cancel=cancel,
    )


class Batch:
    """The inputs of one call, and what has become of each so far.

    Args:
        tracks: The inputs, in order.
        request: The options.
    """

    def __init__(self, tracks: Sequence[Input], request: Request) -> None:
        self.display = console.display(quiet=request.quiet, data_on_stdout=request.json)
        self._request = request
        self._format = request.output_format()
        self._tracks = dict(enumerate(tracks))
        self._outcomes: dict[int, Outcome] = {}
        self._durations: list[float | None] = [None] * len(tracks)
        self._clock = BatchClock(self._durations)
        self._current = 0

    def survey(self) -> bool:
        """Look at every input before any work: what cannot be read fails now, not in the middle of the night.

        Returns:
            Whether there is anything to separate.
        """
        for index, track in self._tracks.items():
            try:
                info = probe(track.path)
            except UnbraidError as error:
                self._settle(index, Outcome(track.path, error=error))
                continue
            whole = info.duration_seconds if info.length is None else info.length / info.sample_rate
            if whole is not None:
                rest = max(0.0, whole - self._request.start)
                self._durations[index] = min(rest, self._request.duration or rest)
        return len(self._outcomes) < len(self._tracks)

    def separate(self, separator: Separator) -> None:
        """Separate all that could be read.

        Raises:
            UsageError: If two stems would go to one place, or one would be overwritten unasked.
            Cancelled: If the caller cancelled.
        """
        self._check_outputs(separator)
        self._clock = BatchClock(self._durations)
        for index in self._outcomes:
            self._clock.leave(index, separated=False)
        for index in self._waiting():
            self._current = index
            self._show_batch()
            outcome = self._outcome(separator, self._tracks[index])
            self._clock.leave(index, separated=outcome.result == "done")
            self._settle(index, outcome)

    def listen(self, event: Event) -> None:
        """Show an event, and what it means for the whole batch."""
        self.display(event)
        if not isinstance(event, OutputReady) and event.stage is Stage.SEPARATE:
            self._show_batch(event.fraction or 0.0)

    def report(self) -> None:
        """Say what became of the files: a table, and where the stems are."""
        outcomes = [self._outcomes[index] for index in sorted(self._outcomes)]
        stems = [
            path for outcome in outcomes if outcome.separation for path in outcome.separation.stems.values()
        ]
        if self._request.quiet or (len(self._tracks) == 1 and not stems):
            return
        if outcomes:
            console.say_table(HEADINGS, [outcome.row() for outcome in outcomes])
        if stems:
            console.say(f"stems are in {os.path.commonpath([path.parent for path in stems])}")

    def require_success(self) -> None:
        """Raise what the exit code is made from.

        Raises:
            UnbraidError: The only input's own error.
            PartialFailure: If any of several inputs failed.
        """
        failed = [outcome for outcome in self._outcomes.values() if outcome.error is not None]
        if not failed:
            return
        if len(self._tracks) == 1 and failed[0].error is not None:
            raise failed[0].error
        names = ", ".join(outcome.input.name for outcome in failed[:3])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise PartialFailure(f"{len(failed)} of {len(self._tracks)} files failed: {names}{more}")

    def _waiting(self) -> list[int]:
        return [index for index in self._tracks if index not in self._outcomes]

    def _outcome(self, separator: Separator, track: Input) -> Outcome:
        try:
            return Outcome(track.path, separation=self._to_files(separator, track))
        except Cancelled:
            raise
        except Exception as error:  # one strange file must not end a night's work; it is reported
            logger.debug("%s failed", track.path, exc_info=True)
            return Outcome(track.path, error=error)

    def _to_files(self, separator: Separator, track: Input) -> Separation:
        return separator.to_files(
            track.path,
            self._request.filename,
            out=self._request.out,
            format=self._format,
            parent=track.parent,
            start_seconds=self._request.start,
            duration_seconds=self._request.duration,
            overwrite=self._request.overwrite,
            skip_existing=self._request.skip_existing,
        )

    def _check_outputs(self, separator: Separator) -> None:
        """Where every stem will go, seen before any work."""
        places = [
            (place, track.path)
            for track in map(self._tracks.__getitem__, self._waiting())
            for place in self._places(separator, track)
        ]
        check_collisions(places)
        there = [place for place, _ in places if place.exists()]
        if there and not (self._request.overwrite or self._request.skip_existing):
            what = f"{there[0]} is" if len(there) == 1 else f"{len(there)} stems, {there[0]} among them, are"
            raise UsageError(
                f"{what} there already; --overwrite replaces stems, --skip-existing leaves such songs out"
            )

    def _places(self, separator: Separator, track: Input) -> Iterable[Path]:
        asked = self._request
        return separator.outputs(
            track.path, asked.filename, out=asked.out, format=self._format, parent=track.parent
        ).values()

    def _settle(self, index: int, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        if self._request.json:
            console.out_json(outcome.to_json())
        if outcome.error is not None and len(self._tracks) > 1:
            console.fail(outcome.sentence)

    def _show_batch(self, fraction: float = 0.0) -> None:
        if len(self._tracks) > 1:
            fraction, eta = self._clock.so_far(self._current, fraction)
            self.display.batch(self._current + 1, len(self._tracks), fraction, eta)
