"""The event stream."""

from __future__ import annotations

import threading

import pytest

from unbraid.errors import Cancelled
from unbraid.progress import Progress, Reporter, Stage


def test_a_reporter_tells_every_step_and_starts_at_nothing():
    events = []
    reporter = Reporter(Stage.SEPARATE, "song", 10, events.append)
    reporter.advance(4)
    reporter.advance(6)
    assert [event.done for event in events] == [0, 4, 10]
    assert [event.fraction for event in events] == [0.0, 0.4, 1.0]
    assert {event.name for event in events} == {"song"}


def test_a_cancelled_reporter_stops_the_work():
    cancel = threading.Event()
    reporter = Reporter(Stage.MEASURE, "song", None, None, cancel)
    reporter.advance(1)
    cancel.set()
    with pytest.raises(Cancelled, match="nothing half-written"):
        reporter.advance(1)


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "fraction", "eta"),
    [
        (0, 10, 0.0, 0.0, None),
        (5, 10, 2.0, 0.5, 2.0),
        (10, 10, 2.0, 1.0, 0.0),
        (12, 10, 2.0, 1.0, 0.0),
        (3, None, 2.0, None, None),
        (0, 0, 0.0, 1.0, None),
    ],
)
def test_fraction_and_eta(done, total, elapsed, fraction, eta):
    progress = Progress(Stage.FETCH, "m", done, total, elapsed)
    assert progress.fraction == fraction
    assert progress.eta_seconds == eta
