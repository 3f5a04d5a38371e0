"""Results for people and for other programs: lines of text, JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid._version import __version__
from unbraid.errors import MachineError, UsageError
from unbraid.evaluation.results import WINDOW_SECONDS
from unbraid.evaluation.scoring import MEASURES
from unbraid.io.disk import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbraid.evaluation.run import Evaluation
    from unbraid.evaluation.summary import Difference, Summary, Table
    from unbraid.metrics.aggregate import Interval

_COLUMNS = ("model", "split", "track", "stem", "metric", "value")


def text_table(table: Table) -> tuple[list[str], list[list[str]]]:
    """A table as headings and rows of text.

    Where fewer songs have a number than the row has, the cell says how many.
    """
    headings = ["", *table.stems, "mean", "songs"]
    rows = []
    for row in table.rows:
        cells = [_cell(row.cells.get(stem), row.tracks) for stem in table.stems]
        rows.append([row.column, *cells, number(row.mean), str(row.tracks)])
    return headings, rows


def _cell(interval: Interval | None, tracks: int) -> str:
    if interval is None:
        return "–"
    within = "" if math.isnan(interval.low) else f" [{number(interval.low)}, {number(interval.high)}]"
    fewer = f" ({interval.tracks} of {tracks})" if interval.tracks < tracks else ""
    return f"{number(interval.value)}{within}{fewer}"


def number(value: float) -> str:
    """A score to two decimals; a dash where there is none.

    >>> number(7.314), number(-0.5), number(math.inf), number(math.nan)
    ('7.31', '−0.50', '∞', '–')
    """
    if math.isnan(value):
        return "–"
    return f"{value:.2f}".replace("inf", "∞").replace("-", "−")


def sentence(difference: Difference) -> str:
    """A difference as a line of text."""
    found = difference.comparison
    apart = found.difference
    measure = MEASURES[difference.measure]
    better = found.worse if measure.lower_is_better else found.better
    plus = "+" if apart.value > 0 else ""
    songs = found.better + found.worse + found.equal
    limit = difference.least_p_value
    few = f" (with {found.better + found.worse} it cannot fall below {limit:.2g})" if limit > 0.05 else ""
    within = "" if math.isnan(apart.low) else f" [{number(apart.low)}, {number(apart.high)}]"
    return (
        f"{difference.column} over {difference.baseline}, {difference.stem}: {plus}{number(apart.value)}"
        f"{f' {measure.unit}' if measure.unit else ''}{within}, p = {found.p_value:.2g}{few}, "
        f"better on {better} of {songs} songs"
    )


def to_json(evaluation: Evaluation, summary: Summary) -> dict[str, Any]:
    """Everything as plain values: tables, differences, each song's numbers, and what failed."""
    return {
        "unbraid": __version__,
        "metrics": list(evaluation.metrics),
        "level": summary.level,
        "tracks": list(evaluation.tracks),
        "tables": [
            {
                "measure": table.measure,
                "caption": MEASURES[table.measure].caption,
                "rows": {
                    row.column: {
                        "stems": {stem: _interval(cell) for stem, cell in row.cells.items()},
                        "mean": row.mean,
                        "tracks": row.tracks,
                    }
                    for row in table.rows
                },
            }
            for table in summary.tables
        ],
        "differences": [_difference(difference) for difference in summary.differences],
        "scores": [dict(zip(_COLUMNS, row, strict=True)) for row in _long(evaluation)],
        "notes": notes(evaluation),
        "failures": [
            {"model": failure.column, "track": failure.track, "error": failure.sentence}
            for failure in evaluation.failures
        ],
    }


def _interval(cell: Interval) -> dict[str, Any]:
    return {"value": cell.value, "low": cell.low, "high": cell.high, "tracks": cell.tracks}


def _difference(difference: Difference) -> dict[str, Any]:
    found = difference.comparison
    return {
        "measure": difference.measure,
        "stem": difference.stem,
        "model": difference.column,
        "baseline": difference.baseline,
        **_interval(found.difference),
        "p_value": found.p_value,
        "least_p_value": difference.least_p_value,
        "better": found.better,
        "worse": found.worse,
        "equal": found.equal,
    }


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader should know, each sentence once, with how many songs it is about."""
    said: dict[tuple[str, str], int] = {}
    for name, scores in evaluation.columns.items():
        for track in scores.values():
            for note in track.notes:
                said[name, note] = said.get((name, note), 0) + 1
    return [
        f"{name}: {note} ({count} of {len(evaluation.tracks)} songs)" for (name, note), count in said.items()
    ]


def write_table(evaluation: Evaluation, path: str | Path, *, frames: bool = False) -> Path:
    """Every number of every song as a row of a CSV or Parquet file; a file that is there is replaced.

    Args:
        evaluation: What was scored.
        path: Ends in .csv or .parquet.
        frames: Also a row for each second of framewise measures, with a further column `time`.

    Returns:
        The path.

    Raises:
        UsageError: If it ends otherwise.
        MachineError: If it cannot be written, or pyarrow is missing.
    """
    path = require_table(path)
    names = (*_COLUMNS, "time") if frames else _COLUMNS
    rows = list(_framewise(evaluation) if frames else _long(evaluation))
    data = _csv(names, rows) if path.suffix.lower() == ".csv" else _parquet(names, rows)
    draft = Draft(path)
    try:
        draft.write(data)
        draft.place()
    except BaseException:
        draft.discard()
        raise
    return path


def require_table(path: str | Path) -> Path:
    """A path that a table can be written to.

    Raises:
        UsageError: If it ends in neither .csv nor .parquet.
        MachineError: If what writes Parquet is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{path} is no name for a table; let it end in .csv or .parquet")
    if path.suffix.lower() == ".parquet":
        _pyarrow()
    return path


def _long(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    """Model, split, track, stem, metric and value of every number of a song."""
    for name, scores in evaluation.columns.items():
        for track in scores.values():
            for stem, numbers in track.stems.items():
                for measure in evaluation.measures:
                    if measure in numbers.frames or measure in numbers.values:
                        yield name, track.split, track.track, stem, measure, numbers.value(measure)


def _framewise(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    """The same with a time: None for the song's own number, then the seconds one by one."""
    for row in _long(evaluation):
        name, split, track, stem, measure, _ = row
        yield (*row, None)
        key = f"{split}/{track}" if split else track
        frames = evaluation.columns[name][key].stems[stem].frames.get(measure, ())
        for at, value in enumerate(frames):
            yield name, split, track, stem, measure, value, at * WINDOW_SECONDS


def _csv(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    arrow, parquet = _pyarrow()
    kinds = {name: arrow.string() for name in names} | {"value": arrow.float64(), "time": arrow.float64()}
    columns = {
        name: arrow.array([row[at] for row in rows], kinds[name], from_pandas=False)
        for at, name in enumerate(names)
    }
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MachineError(
            "Parquet needs pyarrow, which is not installed; it comes with pip install 'unbraid[evaluate]', "
            "or write .csv"
        ) from error
    return pa, parquet
