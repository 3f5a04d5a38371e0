"""Time and size as people say them, and how long a batch will still take."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def clock(seconds: float) -> str:
    """A duration as a clock shows it.

    >>> clock(184.4), clock(59.7), clock(3725)
    ('3:04', '1:00', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def precise_clock(seconds: float) -> str:
    """A duration to the millisecond.

    >>> precise_clock(184.4), precise_clock(3725.0625)
    ('3:04.400', '1:02:05.062')
    """
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{clock(whole)}.{thousandths:03}"


def size(count: int) -> str:
    """A number of bytes in the decimal unit that reads best.

    >>> size(0), size(999), size(84_123_456), size(2_500_000_000)
    ('0 B', '999 B', '84.1 MB', '2.5 GB')
    """
    if count < 1000:
        return f"{count} B"
    power = min(4, int(math.log10(count) // 3))
    return f"{count / 1000**power:.1f} {'kMGT'[power - 1]}B"


class BatchClock:
    """How long many files will still take, at the pace of those that are done.

    A file counts as long as its audio is; where only decoding can tell, as long as the mean of the others.
    Files that were skipped or failed took no time worth counting: they leave both sides of the sum.

    Args:
        durations: Seconds of audio in each file, None where unknown.
        now: A clock in seconds; tests bring their own.

    >>> ticks = iter([0.0, 30.0])
    >>> batch = BatchClock([60.0, None, 60.0], now=lambda: next(ticks))
    >>> batch.leave(0, separated=True)
    >>> batch.so_far(1, 0.5)
    (0.5, 30.0)
    """

    def __init__(self, durations: Sequence[float | None], now: Callable[[], float] = time.monotonic) -> None:
        known = [seconds for seconds in durations if seconds is not None]
        mean = sum(known) / len(known) if known else 1.0
        self._waiting = [mean if seconds is None else seconds for seconds in durations]
        self._done = 0.0
        self._now = now
        self._start = now()

    def leave(self, index: int, *, separated: bool) -> None:
        """Say that a file is behind us, and whether it was work."""
        if separated:
            self._done += self._waiting[index]
        self._waiting[index] = 0.0

    def so_far(self, index: int, fraction: float) -> tuple[float, float | None]:
        """How far the whole batch is, and how long it will still take.

        Args:
            index: The file being worked on.
            fraction: How much of it is done, 0 to 1.

        Returns:
            The share that is done, 0 to 1, and the seconds left; None before there is a pace.
        """
        done = self._done + self._waiting[index] * fraction
        total = self._done + sum(self._waiting)
        if not done:
            return 0.0, None
        return done / total, (self._now() - self._start) * (total - done) / done
