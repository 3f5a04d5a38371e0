"""Recordings, one after the other: each gets an outcome, and none stops the others."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from unbraid.cli import console
from unbraid.cli.interrupt import interruptible
from unbraid.cli.outcome import HEADINGS, NUMBERS, Outcome
from unbraid.cli.pace import BatchClock
from unbraid.delivery import Separation
from unbraid.engine.runtime import Runtime
from unbraid.errors import Cancelled, PartialFailure, UnbraidError, UsageError
from unbraid.io.naming import check_collisions, inputs, places, track_name
from unbraid.io.probe import probe
from unbraid.lineup import groups_of
from unbraid.progress import OutputReady, Stage
from unbraid.separator import Separator
from unbraid.zoo.chains import chain_for, preset
from unbraid.zoo.ensembles import ensemble_for
from unbraid.zoo.load import card_for

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from unbraid.cli.request import Request
    from unbraid.io.naming import Input
    from unbraid.progress import Event

logger = logging.getLogger(__name__)


def run(request: Request) -> None:
    """Separate everything that was asked for, and say what became of it.

    Args:
        request: The options.

    Raises:
        UsageError: If options contradict each other, or stems would collide or be overwritten unasked.
        UnknownModelError: If there is no such model.
        UnbraidError: With one input, whatever it failed with.
        PartialFailure: With several inputs, if any of them failed.
        KeyboardInterrupt: On Ctrl-C; what was finished stays and is summed up.
    """
    # What the options alone can tell is told before any file is looked at, and before weights are fetched.
    Runtime(request.device, request.threads).torch_device()
    if request.preset:
        preset(request.preset)
    card = chain_for(request.chosen) or ensemble_for(request.chosen) or card_for(request.chosen)
    stems = groups_of(card, request.stem_names(), addable=request.sum == "exact") if card else ()
    batch = Batch(inputs(request.files, stems=request.out), request)
    try:
        with interruptible() as cancel, batch.display:
            batch.survey()
            if card:
                batch.place(card.name, stems)
            if batch.waiting:
                with _separator(request, batch, cancel) as separator:
                    if not card:
                        batch.place(separator.name, separator.stems)
                    batch.separate(separator)
    finally:
        batch.report()
    batch.require_success()


def _separator(request: Request, batch: Batch, cancel: threading.Event) -> Separator:
    return Separator(
        request.chosen,
        config=request.config,
        stems=request.stem_names(),
        overlap=request.overlap,
        shifts=max(1, request.shifts),  # demucs' --shifts 0 is one pass, too
        segment_seconds=request.segment,
        seed=request.seed,
        fit=request.fit,
        sum=request.sum,
        device=request.device,
        threads=request.threads,
        backend=request.backend,
        precision=request.precision,
        keep_pages=request.keep_pages,
        memory_bytes=request.memory,
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

    @property
    def waiting(self) -> list[int]:
        """The inputs of which nothing has become yet."""
        return [index for index in self._tracks if index not in self._outcomes]

    def survey(self) -> None:
        """Look at every input before any work: what cannot be read fails now, not at night."""
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

    def place(self, model: str, stems: Iterable[str]) -> None:
        """Work out where every stem will go; songs whose stems are there already are left out, if asked.

        Args:
            model: Name of the model.
            stems: Names of what it will write.

        Raises:
            UsageError: If two stems would go to one place, or one would be overwritten unasked.
        """
        asked, suffix = self._request, self._format.suffix
        placed = {
            index: places(
                self._tracks[index], asked.filename, model=model, stems=stems, out=asked.out, suffix=suffix
            )
            for index in self.waiting
        }
        pairs = [
            (path, self._tracks[index].path) for index in placed for path in placed[index].stems.values()
        ]
        check_collisions(pairs)
        there = [path for path, _ in pairs if path.exists()]
        if there and not (asked.overwrite or asked.skip_existing):
            what = f"{there[0]} is" if len(there) == 1 else f"{len(there)} stems, {there[0]} among them, are"
            raise UsageError(
                f"{what} there already; --overwrite replaces stems, --skip-existing leaves such songs out"
            )
        for index, found in placed.items():
            if asked.skip_existing and found.are_taken:
                path = self._tracks[index].path
                skipped = Separation(track_name(path), path, found.stems, found.sidecar, skipped=True)
                self._settle(index, Outcome(path, separation=skipped))

    def separate(self, separator: Separator) -> None:
        """Separate all that is waiting.

        Raises:
            Cancelled: If the caller cancelled.
        """
        self._clock = BatchClock(self._durations)
        for index in self._outcomes:
            self._clock.leave(index, separated=False)
        for index in self.waiting:
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
        """Say what became of the files, unless all failed: a table, and where the stems are."""
        outcomes = [self._outcomes[index] for index in sorted(self._outcomes)]
        separations = [outcome.separation for outcome in outcomes if outcome.separation]
        if self._request.quiet or not separations:
            return
        skipped = sum(separation.skipped for separation in separations)
        if skipped < len(separations):
            rows = [outcome.row() for outcome in outcomes if outcome.result != "skipped"]
            console.say_table(HEADINGS, rows, numbers=NUMBERS)
        if skipped:
            console.say(f"{skipped} of {len(self._tracks)} left out: their stems are there already")
        folders = [path.parent for separation in separations for path in separation.stems.values()]
        console.say(f"stems are in {os.path.commonpath(folders)}")

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
