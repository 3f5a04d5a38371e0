"""What is happening, as one stream of events: the bar, the web page and a host program read the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from unbraid.errors import Cancelled

if TYPE_CHECKING:
    import threading
    from pathlib import Path


class Stage(str, Enum):
    """The stages a track goes through, in order."""

    FETCH = "fetch"  # weights come from a source to the cache; counted in bytes
    MEASURE = "measure"  # a first pass over the audio: length, level, NaN; counted in samples
    TUNE = "tune"  # what runs the network fastest here is found out, once; counted in candidates
    SEPARATE = "separate"  # the network runs and stems are written as they come; counted in samples
    FINISH = "finish"  # where a stem would clip: all get one gain and are encoded; counted in samples
    SCORE = "score"  # estimates are compared with true stems; counted in songs


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is.

    Args:
        stage: Which stage.
        name: Of the track, or of the model that is fetched.
        done: Samples (or bytes, in `FETCH`) behind us.
        total: Of how many; None where only the end can tell.
        elapsed_seconds: Since the stage began.
        expected_seconds: That the whole stage should take, by what was measured before; None: unknown.
    """

    stage: Stage
    name: str
    done: int
    total: int | None
    elapsed_seconds: float
    expected_seconds: float | None = None

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1; None where the total is unknown."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the pace so far; before there is one, by what was measured before, or None.

        >>> Progress(Stage.SEPARATE, "song", done=25, total=100, elapsed_seconds=2.0).eta_seconds
        6.0
        """
        if self.total is None or not self.done or not self.elapsed_seconds:
            return self.expected_seconds and max(0.0, self.expected_seconds - self.elapsed_seconds)
        return self.elapsed_seconds * max(0, self.total - self.done) / self.done


@dataclass(frozen=True, slots=True)
class OutputReady:
    """A stem is whole and in its place."""

    name: str
    stem: str
    path: Path


Event = Progress | OutputReady
Listener = Callable[[Event], None]


class Reporter:
    """Tells a listener how far a stage is, and stops the work when its caller cancels.

    One reporter serves one stage of one track; the clock starts when it is made.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        total: int | None,
        listener: Listener | None = None,
        cancel: threading.Event | None = None,
        *,
        expected_seconds: float | None = None,
    ) -> None:
        self._expected_seconds = expected_seconds
        self._stage, self._name, self._total = stage, name, total
        self._listener, self._cancel = listener, cancel
        self._done = 0
        self._start = time.monotonic()
        self.advance(0)

    def advance(self, amount: int) -> None:
        """Say that `amount` more is done.

        Raises:
            Cancelled: If the caller has set its cancel event.
        """
        check_cancelled(self._cancel, self._name)
        self._done += amount
        if self._listener:
            elapsed = time.monotonic() - self._start
            self._listener(
                Progress(self._stage, self._name, self._done, self._total, elapsed, self._expected_seconds)
            )


def check_cancelled(cancel: threading.Event | None, name: str) -> None:
    """Stop here if the caller asked for it.

    Raises:
        Cancelled: If `cancel` is set.
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled(f"{name}: stopped on request; nothing half-written was left")
