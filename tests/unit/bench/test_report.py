from __future__ import annotations

import json

import pytest

from unbraid.bench.cases import Case, Subject
from unbraid.bench.measure import Measured
from unbraid.bench.report import HEADINGS, notes, rows, to_json
from unbraid.bench.run import Outcome
from unbraid.errors import MachineError

CASE = Case(Subject("umxl", untrained=True), "eager", "exact", threads=2)
MEASURED = {
    "device": "cpu",
    "parameters": 1000,
    "segment_seconds": 8.0,
    "stride_seconds": 6.0,
    "load_seconds": 1.0,
    "first_use_seconds": 2.5,
    "run_seconds": 3.0,
    "run_error": 0.01,
    "runs": 5,
    "peak_bytes": 1_234_000_000,
    "device_peak_bytes": None,
    "snr_db": None,
}


def outcome(**facts):
    return Outcome(CASE, Measured(**{**MEASURED, **facts}))


def cells(**facts):
    (row,) = rows([outcome(**facts)])
    return dict(zip(HEADINGS, row, strict=True))


def test_a_row_says_what_was_measured():
    assert cells() == {
        "model": "umxl (untrained)",
        "backend": "eager",
        "precision": "exact",
        "threads": "2",
        "RTF": "0.500",
        "±": "1 %",
        "first use": "3.5 s",
        "peak memory": "1234 MB",
        "SNR": "–",
    }


@pytest.mark.parametrize(
    ("ratio", "shown"), [(None, "–"), (float("inf"), "same"), (48.25, "48.2 dB"), (-3.0, "-3.0 dB")]
)
def test_the_snr_is_shown_in_words_where_it_is_no_number(ratio, shown):
    assert cells(snr_db=ratio)["SNR"] == shown


@pytest.mark.parametrize(
    ("main", "device", "shown"),
    [(1_000_000_000, 2_000_000, "1000 MB + 2 MB"), (None, 2_000_000, "2 MB"), (None, None, "–")],
)
def test_memory_is_shown_where_it_is_known(main, device, shown):
    assert cells(peak_bytes=main, device_peak_bytes=device)["peak memory"] == shown


def test_a_failed_case_has_no_row_but_its_reason_in_json():
    failed = Outcome(CASE, MachineError("memory ran out"))
    assert rows([failed]) == []
    assert notes([failed]) == []
    (told,) = to_json([failed])["results"]
    assert (told["model"], told["untrained"], told["error"]) == ("umxl", True, "memory ran out")


def test_times_that_are_not_steady_are_named():
    assert len(notes([outcome()])) == 1
    assert "umxl (untrained), eager, exact, 2 threads" in notes([outcome(run_error=0.2)])[1]


def test_json_holds_everything_and_no_number_that_json_lacks():
    content = to_json([outcome(snr_db=float("inf")), outcome(snr_db=float("-inf")), outcome(snr_db=50.0)])
    text = json.dumps(content, allow_nan=False)
    same, silent, near = json.loads(text)["results"]
    assert [(one["snr_db"], one["is_same"]) for one in (same, silent, near)] == [
        (None, True),
        (None, False),
        (50.0, False),
    ]
    assert MEASURED.keys() | {"rtf", "model", "untrained", "backend", "precision", "threads"} <= same.keys()
    assert content["machine"]["torch"]
