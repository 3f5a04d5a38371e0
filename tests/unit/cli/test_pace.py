from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.cli.pace import BatchClock, clock, precise_clock, size


@given(st.integers(0, 10**6))
def test_a_clock_says_every_whole_second(seconds):
    parts = [int(part) for part in clock(seconds).split(":")]
    assert sum(part * 60**power for power, part in enumerate(reversed(parts))) == seconds
    assert all(part < 60 for part in parts[1:])


@given(st.integers(0, 10**8))
def test_a_precise_clock_says_every_millisecond(milliseconds):
    whole, thousandths = precise_clock(milliseconds / 1000).split(".")
    assert (whole, int(thousandths)) == (clock(milliseconds // 1000), milliseconds % 1000)


@given(st.integers(1, 10**16))
def test_a_size_is_within_its_last_digit(count):
    number, unit = size(count).split(" ")
    power = 1000 ** ("BkMGT".index(unit[0]))
    assert abs(float(number) * power - count) <= 0.05 * power


class Ticking:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


def test_the_batch_eta_is_exact_at_a_steady_pace():
    now, durations = Ticking(), [60.0, 120.0, 20.0]
    batch = BatchClock(durations, now=now)
    assert batch.so_far(0, 0.0) == (0.0, None)
    for index, duration in enumerate(durations):
        for tenth in range(1, 11):
            now.time = 0.5 * (sum(durations[:index]) + duration * tenth / 10)
            assert batch.so_far(index, tenth / 10) == pytest.approx((now.time / 100.0, 100.0 - now.time))
        batch.leave(index, separated=True)


def test_skipped_and_failed_files_do_not_make_the_pace_look_faster():
    now = Ticking()
    batch = BatchClock([60.0] * 10, now=now)
    for index in range(8):
        batch.leave(index, separated=False)
    now.time = 30.0
    batch.leave(8, separated=True)
    assert batch.so_far(9, 0.0) == pytest.approx((0.5, 30.0))


def test_files_of_unknown_length_count_as_the_mean_of_the_others():
    now = Ticking()
    batch = BatchClock([None, 30.0, 90.0], now=now)
    now.time = 60.0
    batch.leave(0, separated=True)
    assert batch.so_far(1, 0.0) == pytest.approx((1 / 3, 120.0))
