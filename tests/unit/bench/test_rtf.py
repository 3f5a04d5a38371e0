from __future__ import annotations

import itertools

import pytest

from unbraid.bench.rtf import LEAST, MOST, STEADY, steady_timing, timing


class Work:
    """Something that takes as long as it is told, by a clock of its own."""

    def __init__(self, seconds):
        self._seconds = iter(seconds)
        self.time = 0.0
        self.shares = []

    def __call__(self):
        self.time += next(self._seconds)

    def timed(self, most_seconds=10.0):
        return steady_timing(
            self, most_seconds=most_seconds, on_run=self.shares.append, now=lambda: self.time
        )


def test_equal_times_are_steady_after_the_least_runs():
    found = Work(itertools.repeat(0.25)).timed()
    assert (found.seconds, found.error, found.runs) == (0.25, 0.0, LEAST)


def test_times_that_vary_are_taken_until_the_median_stands_still():
    found = Work(itertools.cycle([0.9, 1.0, 1.1])).timed(most_seconds=1000.0)
    assert found.is_steady
    assert found.runs > LEAST
    assert found.seconds == pytest.approx(1.0, abs=0.1)


def test_one_disturbed_run_moves_nothing():
    found = Work(itertools.chain([1.0, 60.0], itertools.repeat(1.0))).timed(most_seconds=1000.0)
    assert (found.seconds, found.error, found.runs) == (1.0, 0.0, 5)


def test_no_run_begins_after_the_time_is_over():
    work = Work(itertools.cycle([0.5, 1.5]))
    found = work.timed(most_seconds=10.0)
    assert not found.is_steady
    assert work.time <= 10.0 + 1.5


def test_what_takes_longer_than_the_time_still_runs_as_often_as_a_median_needs():
    found = Work(itertools.count(60.0, 30.0)).timed(most_seconds=1.0)
    assert found.runs == LEAST


def test_quick_work_that_never_is_steady_ends():
    # Half of the runs take ten times as long: the median jumps for ever.
    found = Work(itertools.cycle([1e-6, 1e-5])).timed()
    assert found.runs <= MOST


def test_progress_grows_to_one_and_never_beyond():
    work = Work(itertools.cycle([2.0, 6.0]))
    work.timed(most_seconds=10.0)
    assert work.shares == sorted(work.shares)
    assert 0 < work.shares[0] < work.shares[-1] == 1.0


def test_the_error_falls_with_the_number_of_runs():
    errors = [timing([0.9, 1.0, 1.1] * count).error for count in (1, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > STEADY > errors[-1]
