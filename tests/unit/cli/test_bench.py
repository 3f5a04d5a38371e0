from __future__ import annotations

import json
import signal

import pytest

from unbraid.bench import cases as bench_cases
from unbraid.bench import run as bench_run
from unbraid.bench.measure import Measured
from unbraid.bench.run import Outcome
from unbraid.errors import Cancelled, MachineError

MEASURED = Measured("cpu", 1000, 8.0, 6.0, 1.0, 2.5, 3.0, 0.01, 5, 10**9, None, None)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """A machine that has PyTorch alone."""
    monkeypatch.setattr(bench_cases, "backends", lambda: {"eager": ("exact",)})


@pytest.fixture
def asked(monkeypatch):
    """What was to be measured; every case takes the same, and nothing runs. Two threads fail."""
    found = {"cases": []}

    def run(cases, *, most_seconds, listener, cancel):
        del listener, cancel
        found.update(cases=list(cases), seconds=most_seconds)
        for case in cases:
            yield Outcome(case, MachineError("memory ran out") if case.threads == 2 else MEASURED)

    monkeypatch.setattr(bench_run, "run", run)
    return found


def test_a_table_says_what_a_model_costs(run, asked):
    ended = run("bench", "-n", "umxl", "--untrained", "--threads", 1, "--seconds", "2.5")
    assert ended.code == 0
    heading, row = ended.out.splitlines()
    assert heading.split()[:5] == ["model", "backend", "precision", "threads", "RTF"]
    assert row.split()[:6] == ["umxl", "(untrained)", "eager", "exact", "1", "0.500"]
    assert "RTF: processing time by audio time" in ended.err
    assert asked["seconds"] == 2.5


@pytest.mark.usefixtures("asked")
def test_json_is_one_object_on_stdout_and_the_same_in_a_file(run, tmp_path):
    ended = run("bench", "-n", "umxl", "--untrained", "--threads", 1, "--json", "-o", "bench.json", "-q")
    (content,) = ended.lines
    assert content["results"][0]["rtf"] == 0.5
    assert json.loads((tmp_path / "bench.json").read_text()) == content
    assert ended.err == ""


@pytest.mark.usefixtures("asked")
def test_what_cannot_be_measured_leaves_the_rest_and_ends_with_six(run):
    ended = run("bench", "-n", "umxl", "--untrained", "--threads", 1, "--threads", 2)
    assert ended.code == 6
    assert len(ended.out.splitlines()) == 2
    assert "umxl (untrained), eager, exact, 2 threads: memory ran out" in ended.err
    assert "1 of 2 cases" in ended.err


@pytest.mark.usefixtures("asked")
def test_a_single_failure_ends_with_its_own_code(run):
    ended = run("bench", "-n", "umxl", "--untrained", "--threads", 2)
    assert (ended.code, ended.out) == (5, "")
    assert "memory ran out" in ended.err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, ["no weights are on this machine", "--untrained"]),
        (["-n", "umxl"], 4, ["models pull umxl"]),
        (["-n", "htdemuks"], 4, ["did you mean", "htdemucs"]),
        (["-n", "umxl", "--untrained", "--backend", "steam"], 2, ["no backend 'steam'", "eager"]),
        (["-n", "umxl", "--untrained", "--precision", "int1"], 2, ["no precision 'int1'", "exact"]),
        (["-n", "umxl", "--untrained", "--seconds", "nan"], 2, ["finite"]),
        (["-n", "umxl", "--untrained", "-o", "none/bench.json"], 2, ["there is no folder none"]),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(run, asked, options, code, words):
    ended = run("bench", *options)
    assert ended.code == code
    for word in words:
        assert word in ended.err
    assert asked["cases"] == []


def test_ctrl_c_ends_with_130(run, monkeypatch):
    def stopped(*_, **__):
        raise Cancelled("umxl: stopped on request")
        yield

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(bench_run, "run", stopped)
    assert run("bench", "-n", "umxl", "--untrained").code == 130
    assert signal.getsignal(signal.SIGINT) is before
