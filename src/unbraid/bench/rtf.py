"""How long something takes that is done again and again: until the median stands still."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST, MOST = 3, 200  # runs
STEADY = 0.02  # the error of the median, as a share of it, below which it stands still


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one run takes.

    Args:
        seconds: The median.
        error: Its standard error, as a share of it.
        runs: How many were timed.
    """

    seconds: float
    error: float
    runs: int

    @property
    def is_steady(self) -> bool:
        """Whether more runs would hardly change the median."""
        return self.runs >= LEAST and self.error <= STEADY


def timing(seconds: Sequence[float]) -> Timing:
    """The median of some times and how sure it is.

    The true median lies among the sorted times within about √n / 2 places of the middle, whatever their
    distribution is; half the difference of the times there is the error. So a run that something else on the
    machine has disturbed counts for little, and two kinds of runs in turn count for much.

    Args:
        seconds: At least one.

    Source:
        David and Nagaraja, "Order Statistics", 3rd edition, 2003, section 7.1.

    >>> timing([1.0, 1.0, 9.0, 1.0, 1.0])
    Timing(seconds=1.0, error=0.0, runs=5)
    """
    ordered, last = sorted(seconds), len(seconds) - 1
    middle, places = statistics.median(ordered), round(len(ordered) ** 0.5 / 2)
    low = ordered[max(0, math.floor(last / 2 - places))]
    high = ordered[min(last, math.ceil(last / 2 + places))]
    return Timing(middle, (high - low) / 2 / middle if middle else 0.0, len(ordered))


def steady_timing(
    run: Callable[[], object],
    *,
    most_seconds: float,
    on_run: Callable[[float], None] = lambda _share: None,
    now: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Run something until its median time stands still, or the time for it is over.

    It runs at least three times, and at most 200 times, whatever it takes. What comes first and takes longer,
    as compiling does, is the caller's to leave out.

    Args:
        run: What is timed.
        most_seconds: After which no further run begins.
        on_run: Told after each run how much of that time is over, at most 1.
        now: A clock in seconds; tests bring their own.
    """
    began, taken = now(), []
    while True:
        start = now()
        run()
        taken.append(now() - start)
        found, gone = timing(taken), now() - began
        on_run(min(1.0, gone / most_seconds))
        over = gone >= most_seconds or found.runs >= MOST
        if found.is_steady or (over and found.runs >= LEAST):
            return found
