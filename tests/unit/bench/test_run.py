"""Real processes: each takes seconds to import torch."""

from __future__ import annotations

import threading

import pytest

from fakes import dies
from unbraid.bench import run as bench_run
from unbraid.bench.backends import REFERENCE
from unbraid.bench.cases import Case, Subject
from unbraid.bench.measure import Measured
from unbraid.bench.run import run
from unbraid.errors import Cancelled, MachineError, UnknownModelError
from unbraid.progress import Stage


def test_a_case_that_fails_does_not_stop_the_next(checkpoint, tmp_path):
    events = []
    missing = Case(Subject(str(tmp_path / "missing.safetensors")), *REFERENCE, threads=1, device="cpu")
    sound = Case(Subject(str(checkpoint)), *REFERENCE, threads=1, device="cpu")
    failed, done = run([missing, sound], most_seconds=0.05, listener=events.append)
    assert isinstance(failed.result, UnknownModelError)
    assert isinstance(done.result, Measured)
    assert done.result.parameters == 317_856
    assert {event.stage for event in events} == {Stage.MEASURE}
    assert events[-1].fraction == 1.0


def test_a_process_that_dies_is_reported_with_what_may_have_killed_it(checkpoint, monkeypatch):
    monkeypatch.setattr(bench_run, "_child", dies)
    case = Case(Subject(str(checkpoint)), *REFERENCE, threads=1, device="cpu")
    (outcome,) = run([case], most_seconds=0.05)
    assert isinstance(outcome.result, MachineError)
    assert "code 9" in str(outcome.result)
    assert "memory" in str(outcome.result)


def test_who_cancels_waits_for_nothing(checkpoint):
    cancel = threading.Event()
    case = Case(Subject(str(checkpoint)), *REFERENCE, threads=1, device="cpu")

    def stop(_event):
        cancel.set()

    with pytest.raises(Cancelled):
        list(run([case], most_seconds=600.0, listener=stop, cancel=cancel))
