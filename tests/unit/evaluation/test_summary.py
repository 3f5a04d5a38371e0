"""Rows, means, differences, and the forms in which other programs get them."""

from __future__ import annotations

import csv
import json
import math
import sys

import pytest

from unbraid.cli import console
from unbraid.errors import MachineError, UsageError
from unbraid.evaluation.results import FRAMEWISE, StemScores, TrackScores
from unbraid.evaluation.run import Evaluation, Failure
from unbraid.evaluation.summary import summarize
from unbraid.evaluation.tables import notes, number, sentence, text_table, to_json, write_table

KEYS = tuple("abcdefg")


def track(key, stems, *said):
    """Scores whose seconds are one below, at, and two above a value, and a global ratio of it."""
    found = {
        stem: StemScores({"sdr": value}, dict.fromkeys(FRAMEWISE, (value - 1, value, value + 2)))
        for stem, value in stems.items()
    }
    return TrackScores(key, "test", found, {"bsseval": {}, "sdr": {}}, {}, said)


@pytest.fixture(scope="module")
def found():
    """Seven songs: a model one or two dB better than another at the one stem they share, and an oracle."""
    rows = {
        "four": [
            track(key, {"vocals": at + 1.0 + at % 2, "other": 9.0 if at else math.nan})
            for at, key in enumerate(KEYS)
        ],
        "two": [
            track(key, {"vocals": float(at), "accompaniment": 3.0}, "a note") for at, key in enumerate(KEYS)
        ],
        "oracle.irm2": [track(key, {"vocals": 10.0, "other": 10.0}) for key in KEYS],
    }
    columns = {name: {one.key: one for one in tracks} for name, tracks in rows.items()}
    failures = (Failure("two", "test/h", UsageError("gone")),)
    keys = tuple(f"test/{key}" for key in KEYS)
    return Evaluation(("bsseval", "sdr"), keys, columns, frozenset({"oracle.irm2"}), failures)


@pytest.fixture(scope="module")
def summary(found):
    return summarize(found)


def table_of(summary, measure):
    return next(table for table in summary.tables if table.measure == measure)


def test_bsseval_is_a_median_and_global_sdr_a_mean(summary):
    (row, *_) = table_of(summary, "bsseval_sdr").rows
    assert (row.cells["vocals"].value, row.tracks) == (5.0, 7)
    (row, *_) = table_of(summary, "sdr").rows
    assert row.cells["vocals"].value == pytest.approx(sum((1, 3, 3, 5, 5, 7, 7)) / 7)
    assert row.cells["vocals"].low < row.cells["vocals"].value < row.cells["vocals"].high


def test_songs_without_a_number_are_left_out_and_counted(summary):
    headings, rows = text_table(table_of(summary, "sdr"))
    assert headings == ["", "vocals", "other", "accompaniment", "mean", "songs"]
    assert rows[0][2] == "9.00 [9.00, 9.00] (6 of 7)"
    assert rows[0][3] == "–"
    assert [row[-1] for row in rows] == ["7", "7", "7"]


def test_only_rows_with_the_most_stems_have_a_mean(found):
    alone = Evaluation(found.metrics, found.tracks, {"two": found.columns["two"]})
    assert summarize(alone).tables[0].rows[0].mean == 3.0
    three = {**found.columns, "vocals only": {"test/a": track("a", {"vocals": 1.0})}}
    table = table_of(summarize(Evaluation(found.metrics, found.tracks, three)), "sdr")
    assert [math.isnan(row.mean) for row in table.rows] == [False, False, False, True]


def test_models_are_compared_on_stems_that_both_have_and_oracles_are_not(summary):
    differences = summary.differences
    assert {(one.column, one.baseline, one.stem) for one in differences} == {("two", "four", "vocals")}
    assert [one.measure for one in differences] == ["bsseval_sdr", "sdr"]
    (_, mean) = differences
    assert mean.comparison.difference.value == pytest.approx(-10 / 7)
    assert (mean.comparison.better, mean.comparison.worse, mean.comparison.p_value) == (0, 7, 2 / 2**7)


def test_the_baseline_and_the_stems_can_be_chosen(found):
    summary = summarize(found, baseline="two", stems=["vocals"])
    assert {(one.column, one.baseline) for one in summary.differences} == {("four", "two")}
    assert all(table.stems == ("vocals",) for table in summary.tables)
    with pytest.raises(UsageError, match=r"no stem with scores is called 'vocal'; .* did you mean vocals"):
        summarize(found, stems=["vocal"])
    with pytest.raises(UsageError, match=r"no column with scores is called 'oracle\.irm2'"):
        summarize(found, baseline="oracle.irm2")


def test_a_difference_reads_as_a_sentence_that_says_what_few_songs_allow(found):
    said = sentence(summarize(found, baseline="two").differences[1])
    assert said.startswith("four over two, vocals: +1.43 dB [1.")
    assert said.endswith("p = 0.016, better on 7 of 7 songs")
    few = Evaluation(found.metrics, found.tracks[:5], found.columns)
    assert "p = 0.062 (with 5 it cannot fall below 0.062)" in sentence(summarize(few).differences[0])


def test_numbers_that_are_none_are_a_dash():
    assert [number(value) for value in (math.nan, math.inf, -math.inf)] == ["–", "∞", "−∞"]


def test_notes_stand_once_with_how_many_songs_they_are_about(found):
    assert notes(found) == ["two: a note (7 of 7 songs)"]


def test_json_holds_all_and_stays_the_same(found, summary):
    said = [json.dumps(console._finite(to_json(found, each))) for each in (summary, summarize(found))]
    assert said[0] == said[1]
    told = json.loads(said[0])
    assert list(told) == [
        "unbraid", "metrics", "level", "tracks", "tables", "differences", "scores", "notes", "failures",
    ]  # fmt: skip
    assert told["tables"][0]["rows"]["four"]["stems"]["vocals"]["value"] == 5.0
    assert told["failures"] == [{"model": "two", "track": "test/h", "error": "two: gone"}]
    assert len(told["scores"]) == 7 * 3 * 2 * 5


@pytest.mark.parametrize("frames", [False, True])
def test_csv_and_parquet_hold_the_same_rows(found, tmp_path, frames):
    from pyarrow import parquet

    write_table(found, tmp_path / "a.csv", frames=frames)
    write_table(found, tmp_path / "a.parquet", frames=frames)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    held = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    assert names == list(held) == ["model", "split", "track", "stem", "metric", "value", *(["time"] * frames)]
    for at, row in enumerate(rows):
        for name, text in zip(names, row, strict=True):
            value = held[name][at]
            assert text == ("" if value is None else str(value))
    assert len(rows) == 7 * 3 * 2 * (5 + 4 * 3 * frames)
    if frames:
        assert [row[-2:] for row in rows[:4]] == [["1.0", ""], ["0.0", "0.0"], ["1.0", "1.0"], ["3.0", "2.0"]]


def test_other_tables_and_a_missing_pyarrow_are_refused(found, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"end in \.csv or \.parquet"):
        write_table(found, tmp_path / "a.xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match=r"pip install 'unbraid\[evaluate\]'"):
        write_table(found, tmp_path / "a.parquet")
