"""From scores of songs to rows with intervals, and to differences between columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.data.stems import in_order
from unbraid.errors import UsageError, did_you_mean
from unbraid.evaluation.scoring import MEASURES
from unbraid.metrics.aggregate import bootstrap, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unbraid.evaluation.run import Evaluation
    from unbraid.metrics.aggregate import Comparison, Interval


@dataclass(frozen=True, slots=True)
class Row:
    """One column's scores by one measure.

    Args:
        column: Its name.
        cells: Of each stem it has, over the songs that have a number.
        mean: Over its stems; NaN unless it has every stem that the others have one by one.
        tracks: How many songs have any number.
    """

    column: str
    cells: Mapping[str, Interval]
    mean: float
    tracks: int


@dataclass(frozen=True, slots=True)
class Table:
    """All columns by one measure.

    Args:
        measure: Its name in `evaluation.scoring.MEASURES`.
        stems: Those of all rows.
        rows: One for each column that was scored so.
    """

    measure: str
    stems: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two columns on the same songs.

    Args:
        measure: By which they are compared.
        stem: Of which both have scores.
        column: The one that is compared,
        baseline: with this one.
        comparison: Positive where the column's numbers are greater.
    """

    measure: str
    stem: str
    column: str
    baseline: str
    comparison: Comparison

    @property
    def least_p_value(self) -> float:
        """As low as p can fall with so many songs, whatever the scores."""
        return min(1.0, 2.0 ** (1 - self.comparison.better - self.comparison.worse))


@dataclass(frozen=True, slots=True)
class Summary:
    """What an evaluation says.

    Args:
        tables: One for each measure.
        differences: Each column beside the first, or the one that was chosen, oracles aside.
        level: Of all intervals.
    """

    tables: tuple[Table, ...]
    differences: tuple[Difference, ...]
    level: float


def summarize(
    evaluation: Evaluation,
    *,
    stems: Sequence[str] = (),
    baseline: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Summary:
    """Numbers over songs, with how far they may be trusted.

    Args:
        evaluation: What was scored.
        stems: Only these; none: all.
        baseline: The column that others are compared with; None: the first that is no oracle.
        level: How often such intervals hold the truth.
        seed: Of the draws behind the intervals.

    Returns:
        Tables and differences. Songs without a number (NaN) are left out, and counted.

    Raises:
        UsageError: If no column has one of the stems, or the baseline's name.
    """
    known = {stem for column in evaluation.columns.values() for one in column.values() for stem in one.stems}
    _require(stems, known, "stem")
    names = [name for name in evaluation.columns if name not in evaluation.oracles]
    if baseline is not None:
        _require([baseline], names, "column")
    chosen = [stem for stem in in_order(known) if not stems or stem in stems]
    scores = {
        measure: {
            name: {
                stem: numbers
                for stem in chosen
                if (numbers := _numbers(evaluation, name, stem, measure)) is not None
            }
            for name in evaluation.columns
        }
        for measure in evaluation.measures
    }
    tables = [_table(measure, chosen, scores[measure], level, seed) for measure in scores]
    first = baseline or (names[0] if names else "")
    others = [name for name in names if name != first]
    differences = [
        Difference(
            measure,
            stem,
            other,
            first,
            compare(
                by_name[first][stem],
                by_name[other][stem],
                MEASURES[measure].statistic,
                level=level,
                seed=seed,
            ),
        )
        for measure, by_name in scores.items()
        if measure in _COMPARED
        for other in others
        for stem in by_name[first]
        if stem in by_name[other]
    ]
    return Summary(tuple(tables), tuple(differences), level)


# The parts of BSSEval's SDR depend on which stems are scored together, so that columns differ in them anyway.
_COMPARED = frozenset(MEASURES) - {"bsseval_isr", "bsseval_sir", "bsseval_sar"}


def _require(asked: Sequence[str], known: Sequence[str] | set[str], what: str) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UsageError(
            f"no {what} with scores is called {unknown[0]!r}; there are {', '.join(sorted(known)) or 'none'}"
            f"{did_you_mean(unknown[0], known)}"
        )


def _numbers(evaluation: Evaluation, column: str, stem: str, measure: str) -> Tensor | None:
    """A stem's number on each song, `(tracks,)`, NaN where there is none; None where none has any."""
    scores = evaluation.columns[column]
    values = [
        scores[track].stems[stem].value(measure)
        if track in scores and stem in scores[track].stems
        else math.nan
        for track in evaluation.tracks
    ]
    numbers = torch.tensor(values, dtype=torch.float64)
    return None if numbers.isnan().all() else numbers


def _table(
    measure: str, stems: Sequence[str], by_name: Mapping[str, Mapping[str, Tensor]], level: float, seed: int
) -> Table:
    shown = [stem for stem in stems if any(stem in column for column in by_name.values())]
    most = max((len(column) for column in by_name.values()), default=0)
    rows = []
    for name, column in by_name.items():
        if not column:
            continue
        cells = {
            stem: bootstrap(numbers, MEASURES[measure].statistic, level=level, seed=seed)
            for stem, numbers in column.items()
        }
        whole = len(cells) == most
        mean = math.fsum(cell.value for cell in cells.values()) / len(cells) if whole else math.nan
        counted = ~torch.stack(list(column.values())).isnan().all(0)
        rows.append(Row(name, cells, mean, int(counted.sum())))
    return Table(measure, tuple(shown), tuple(rows))
