"""What `unbraid evaluate` found, on the screen: a table for each measure, published rows, differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.cli import console
from unbraid.errors import UsageError
from unbraid.evaluation.published import DATA, Beside, Songs, beside
from unbraid.evaluation.scoring import MEASURES, METRICS
from unbraid.evaluation.summary import summarize
from unbraid.evaluation.tables import notes, number, sentence, text_table, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbraid.data.track import Track
    from unbraid.evaluation.run import Evaluation
    from unbraid.evaluation.summary import Summary, Table


def standing_beside(
    metrics: Sequence[str], layout: str, songs: Sequence[Track], *, whole: bool, wanted: bool | None
) -> dict[str, Beside]:
    """What is published on the same songs, by the measure that it may stand beside.

    Args:
        metrics: What is scored with.
        layout: Of the data set.
        songs: What is scored.
        whole: Whether they are scored from beginning to end, with the sources that the data set has.
        wanted: True: its absence is an error; None: it is shown where there is any; False: it is not shown.

    Raises:
        UsageError: If it was asked for and there is none; it says what would work.
    """
    if wanted is False:
        return {}
    splits = {song.split for song in songs}
    scored = Songs(layout, splits.pop() if len(splits) == 1 else "", len(songs), whole)
    stems = sorted({source for song in songs for source in song.sources})
    measures = [measure for name in metrics for measure in METRICS[name].measures]
    found = {
        measure: _beside(definition, scored, stems)
        for measure in measures
        if (definition := MEASURES[measure].published)
    }
    if wanted and not any(shown.rows for shown in found.values()):
        reasons = [shown.note for shown in found.values()]
        raise UsageError(reasons[0] if reasons else "published scores are of bsseval and sdr; ask for these")
    return found


def _beside(definition: str, songs: Songs, stems: Sequence[str]) -> Beside:
    try:
        return beside(definition, songs, stems)
    except UsageError as error:  # another metric was published on these songs, which is no failure of ours
        return Beside(None, (), str(error))


def show(
    found: Evaluation,
    published: Mapping[str, Beside],
    *,
    stems: Sequence[str],
    baseline: str | None,
    level: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print what was found to stdout, and what a reader should know to stderr.

    Args:
        found: The scores.
        published: As from `standing_beside`.
        stems: Only these; none: all.
        baseline: The row that others are compared with; None: the first.
        level: Of the intervals.
        as_json: One object instead of tables.
        quiet: Leave the notes out.
    """
    if not any(found.columns.values()):
        return
    summary = summarize(found, stems=stems, baseline=baseline, level=level)
    if as_json:
        console.out_json(to_json(found, summary))
        return
    for table in summary.tables:
        _show_table(table, published.get(table.measure))
    console.out(
        f"In brackets: {100 * level:g} % intervals (bootstrap over songs); of few songs they are too narrow."
    )
    _show_differences(summary)
    reasons = dict.fromkeys(shown.note for shown in published.values() if not shown.rows)
    for note in [] if quiet else [*notes(found), *reasons]:
        console.say(note)


def _show_table(table: Table, published: Beside | None) -> None:
    headings, rows = text_table(table)
    if published and published.data:
        rows += [_published(table, published, at) for at in range(len(published.rows))]
    console.out(MEASURES[table.measure].caption)
    console.out_table(headings, rows, numbers=headings[1:])
    if published and published.rows and published.note:
        console.out(published.note)
    console.out("")


def _published(table: Table, published: Beside, at: int) -> list[str]:
    """A published row under the headings of ours."""
    assert published.data is not None  # noqa: S101 - rows are of some data set
    row = published.rows[at]
    cells = [number(row.scores[stem]) if stem in row.scores else "–" for stem in table.stems]
    mean = row.over(DATA[published.data].stems)
    name = f"{row.model}{row.marks(published.data)} (published)"
    return [name, *cells, "–" if mean is None else number(mean), str(DATA[published.data].songs)]


def _show_differences(summary: Summary) -> None:
    for measure in dict.fromkeys(difference.measure for difference in summary.differences):
        console.out("")
        console.out(MEASURES[measure].caption)
        for difference in summary.differences:
            if difference.measure == measure:
                console.out(f"  {sentence(difference)}")
