"""Many recordings, one after the other: each gets an outcome, and none stops the others."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli import console
from unbraid.cli.interrupt import interruptible
from unbraid.cli.pace import BatchClock, clock
from unbraid.errors import Cancelled, PartialFailure, UnbraidError, UsageError
from unbraid.io.naming import check_collisions, inputs
from unbraid.io.probe import probe
from unbraid.progress import Progress, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from unbraid.cli.request import Request
    from unbraid.io.naming import Input
    from unbraid.progress import Event
    from unbraid.separate import Separation, Separator

logger = logging.getLogger(__name__)

HEADINGS = ("track", "duration", "time", "RTF", "gain", "residual", "result")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input: a separation or an error."""

    input: Path
    separation: Separation | None = None
    error: Exception | None = None

    @property
    def result(self) -> str:
        """In a word: done, skipped or failed."""
        if self.separation is None:
            return "failed"
        return "skipped" if self.separation.skipped else "done"

    @property
    def sentence(self) -> str:
        """What went wrong; empty where nothing did."""
        if self.error is None or isinstance(self.error, UnbraidError):
            return str(self.error or "")
        return f"{self.input}: this is a bug: {type(self.error).__name__}: {self.error}"

    def to_json(self) -> dict[str, Any]:
        """The line of `--json`, as plain values."""
        line: dict[str, Any] = {"result": self.result, "input": str(self.input)}
        if self.separation is None:
            code = getattr(self.error, "exit_code", UnbraidError.exit_code)
            kind = type(self.error).__name__
            return {**line, "error": self.sentence, "kind": kind, "exit_code": code}
        done = self.separation
        return {
            **line,
            "track": done.track,
            "stems": {stem: str(path) for stem, path in done.stems.items()},
            "sidecar": str(done.sidecar),
            "audio_seconds": done.audio_seconds,
            "elapsed_seconds": done.elapsed_seconds,
            "rtf": done.rtf,
            **{key: done.details[key] for key in _DETAILS if key in done.details},
        }

    def row(self) -> tuple[str, ...]:
        """The line of the summary, as texts."""
        if self.separation is None or self.separation.skipped:
            return (self.input.name, *("–" for _ in HEADINGS[2:]), self.result)
        done, details = self.separation, self.separation.details
        return (
            done.track,
            clock(done.audio_seconds),
            clock(done.elapsed_seconds),
            "–" if done.rtf is None else f"{done.rtf:.2f}",
            _decibels(details.get("gain_db")),
            _decibels(details.get("residual_db")),
            self.result,
        )


_DETAILS = ("model", "sum", "sample_rate", "length", "gain_db", "residual_db")


def run(request: Request) -> None:
    """Separate everything that was asked for, and say what became of it.

    Raises:
        UsageError: If options contradict each other, stems would collide, or would be overwritten unasked.
        UnbraidError: With one input, whatever it failed with.
        PartialFailure: With several inputs, if any of them failed.
        KeyboardInterrupt: On Ctrl-C; what was finished stays and is summed up.
    """
    request.output_format()  # a contradiction is said before anything is looked at
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
    from unbraid.separate import Separator

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
    """The inputs of one call and what has become of each so far."""

    def __init__(self, tracks: Sequence[Input], request: Request) -> None:
        self._tracks, self._request = tuple(tracks), request
        self._outcomes: dict[int, Outcome] = {}
        self._durations: list[float | None] = [None] * len(self._tracks)
        self._clock = BatchClock(self._durations)
        self._current = 0
        self.display = console.display(quiet=request.quiet, data_on_stdout=request.json)

    def survey(self) -> bool:
        """Look at every input before any work; a recording that cannot be read fails now, not at night.

        Returns:
            Whether anything is left to do.
        """
        for index, track in enumerate(self._tracks):
            try:
                info = probe(track.path)
            except UnbraidError as error:
                self._settle(index, Outcome(track.path, error=error))
                continue
            if info.length is not None:
                left = max(0.0, info.length / info.sample_rate - self._request.start)
                self._durations[index] = min(left, self._request.duration or left)
        return len(self._outcomes) < len(self._tracks)

    def separate(self, separator: Separator) -> None:
        """Separate what is left; each failure is settled and the next file begins."""
        waiting = [index for index in range(len(self._tracks)) if index not in self._outcomes]
        self._check_outputs(separator, waiting)
        self._clock = BatchClock([self._durations[index] for index in waiting])
        for index in waiting:
            ...
