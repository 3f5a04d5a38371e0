"""Stages side by side change neither the order nor what is raised."""

from __future__ import annotations

import threading

import pytest

from unbraid.engine.pipeline import Behind, ahead


def test_items_come_in_order_and_are_made_a_little_ahead():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    taken = ahead(items())
    assert next(taken) == 0
    assert len(made) <= 5
    assert list(taken) == list(range(1, 10))


def test_an_exception_comes_where_its_item_would():
    def items():
        yield 1
        raise ValueError("two")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="two"):
        next(taken)


def test_items_that_nobody_wants_any_more_are_not_made():
    made = []
    taken = ahead(made.append(number) or number for number in range(1000))
    next(taken)
    taken.close()
    assert len(made) < 10
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_calls_are_made_in_order_and_all_of_them():
    called = []
    with Behind(called.append) as call:
        for number in range(20):
            call(number)
    assert called == list(range(20))


def test_what_a_call_raises_rises_at_the_end_if_not_before():
    def fail(number):
        if number == 1:
            raise ValueError("one")

    def run():
        with Behind(fail) as call:
            call(0)
            call(1)

    with pytest.raises(ValueError, match="one"):
        run()


def test_a_caller_that_stops_waits_for_the_call_that_runs_and_makes_no_more():
    go, called = threading.Event(), []

    def slow(number):
        go.wait(5)
        called.append(number)

    def run():
        with Behind(slow) as call:
            call(0)
            call(1)
            threading.Timer(0.05, go.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert called in ([0], [0, 1])
    assert not any(thread.name.startswith("behind") for thread in threading.enumerate())
