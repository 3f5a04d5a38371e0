"""What the field has published: scores of models on songs that others can have, each with its definition.

The numbers stand in `published/`, one TOML file per data set and metric. A table is of one metric, and of one
data set unless its other edition is asked for and marked: nothing else may stand beside anything. Needs no
torch, and no network.
"""

from __future__ import annotations

import functools
import math
import statistics
import sys
from collections.abc import Mapping  # noqa: TC003 - the converter reads the annotations at run time
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from unbraid.errors import UsageError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Sequence

Metric = Literal["bsseval_v4", "global_sdr_mean"]
FOUR = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric's id stands for: what is computed, and how many songs become one number.

    Args:
        title: The number of one song.
        statistic: What is taken over its frames, if it has any, and over the songs.
        option: Its name for `--metrics`.
    """

    title: str
    statistic: str
    option: str


METRICS: Mapping[str, Definition] = {
    "bsseval_v4": Definition(
        "SDR of BSSEval v4 in dB", "median over 1-second frames, then median over songs", "bsseval"
    ),
    "global_sdr_mean": Definition("global SDR in dB", "one ratio per song, then mean over songs", "sdr"),
}


@dataclass(frozen=True, slots=True)
class DataSet:
    """Songs that scores were published on.

    Args:
        title: For people.
        split: The part of the data set that was scored.
        songs: How many it has; None: not said.
        layout: How it lies on disk, a name from `unbraid.data.layouts`; None: it is not public, or none of
            them fits it.
        edition: The same songs in other files.
        stems: What its songs are made of, in the order of tables; published means are over these.
    """

    title: str
    split: str = "test"
    songs: int | None = None
    layout: str | None = None
    edition: str | None = None
    stems: tuple[str, ...] = FOUR


DATA: Mapping[str, DataSet] = {
    "musdb18": DataSet("MUSDB18", songs=50, layout="musdb18", edition="musdb18hq"),
    "musdb18hq": DataSet("MUSDB18-HQ", songs=50, layout="musdb18hq", edition="musdb18"),
    "mvsep_multisong": DataSet("MVSep Multisong, private"),
    "mdx21": DataSet("MDX 2021, hidden songs"),
    "sdx23": DataSet("SDX 2023, hidden songs"),
    "dnr": DataSet("Divide and Remaster", stems=("speech", "music", "sfx")),
    "drumsep": DataSet("DrumSep, private", stems=("kick", "snare", "cymbals", "toms")),
}

MARKS: Mapping[str, str] = {
    "†": "learnt from the songs it is scored on",
    "‡": "scored on the other edition of the same songs",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What was published of one model.

    Args:
        model: Its name where it was published, and the variant.
        metric: An id from `METRICS`.
        data: An id from `DATA`.
        source: Paper, page or leaderboard, and the table there.
        scores: In dB, by stem.
        mean: Over the stems of the data set, in dB, as it was published; it may be all there is.
        unbraid: The name under which these very weights can be had here.
        extra_data: What it learnt from besides the training songs of the data set, or of MUSDB18.
        contaminated: Whether it learnt from the songs it is scored on.
        remark: What is doubtful or left out.
    """

    model: str
    metric: Metric
    data: str
    source: str
    scores: Mapping[str, float] = field(default_factory=dict)
    mean: float | None = None
    unbraid: str | None = None
    extra_data: str = "none"
    contaminated: bool = False
    remark: str = ""

    def over(self, stems: Sequence[str]) -> float | None:
        """The mean over some stems in dB, from their scores or as published; None where one is missing."""
        if self.mean is not None and set(stems) == set(DATA[self.data].stems):
            return self.mean
        known = [self.scores[stem] for stem in stems if stem in self.scores]
        return statistics.fmean(known) if known and len(known) == len(stems) else None

    def marks(self, data: str) -> str:
        """The keys of `MARKS` that belong behind its name in a table on this data set."""
        return "†" * self.contaminated + "‡" * (self.data != data)


@dataclass(frozen=True, slots=True)
class Songs:
    """What is known of songs that were scored here: enough to say what may stand beside them.

    Args:
        layout: The data set's, a name from `unbraid.data.layouts`.
        split: The part that was scored; empty: all of it, or it has none.
        count: How many songs.
        whole: Whether they were scored from beginning to end.
    """

    layout: str
    split: str
    count: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Beside:
    """What may stand beside our scores.

    Args:
        data: The id of the published data set that ours is; None: none of them.
        rows: The best first, those that learnt from the songs last; mark each with `Row.marks(data)`.
        note: What the marks say; without rows, why there are none.
    """

    data: str | None
    rows: tuple[Row, ...]
    note: str


def published(
    *,
    metric: str,
    data: str,
    stems: Sequence[str] | None = None,
    contaminated: bool = False,
    editions: bool = False,
) -> tuple[Row, ...]:
    """The published scores of one metric on one data set.

    Args:
        metric: An id from `METRICS`.
        data: An id from `DATA`.
        stems: Only rows that say something of these; None: all rows.
        contaminated: Whether models that learnt from the songs are in it.
        editions: Whether scores on the other edition of the same songs are in it.

    Returns:
        The best first, by the mean over the stems; then those that lack one of the stems; contaminated ones
        last.

    Raises:
        UsageError: If there is no such data set, or nothing of this metric was published on it.

    >>> published(metric="bsseval_v4", data="musdb18")[0].model
    'Hybrid Demucs (v3)'
    """
    if data not in DATA:
        raise UsageError(
            f"no published data set is called {data!r}; there are {', '.join(DATA)}{did_you_mean(data, DATA)}"
        )
    of = {data, DATA[data].edition} if editions else {data}
    found = [row for row in all_rows() if row.data in of]
    if not any(row.metric == metric for row in found):
        raise _mixed(metric, data, found)
    wanted = DATA[data].stems if stems is None else stems
    fitting = [
        row
        for row in found
        if row.metric == metric
        and (contaminated or not row.contaminated)
        and (stems is None or row.over(wanted) is not None or not row.scores.keys().isdisjoint(wanted))
    ]
    return tuple(sorted(fitting, key=lambda row: _rank(row, wanted)))


def beside(metric: str, songs: Songs, stems: Sequence[str], *, editions: bool = False) -> Beside:
    """The published scores that may stand beside ours: of the same metric, on the same songs.

    Args:
        metric: What ours are, an id from `METRICS`.
        songs: What ours were scored on.
        stems: What ours are of.
        editions: Whether scores on the other edition of the same songs are shown, too.

    Returns:
        Rows, or why there are none. Songs are told by their layout and number: MUSDB18 decoded to files in
        the layout of MUSDB18-HQ is taken for the latter.

    Raises:
        UsageError: If what is published on these songs is of other metrics; it says of which.

    >>> beside("bsseval_v4", Songs("musdb18hq", "test", 50), FOUR).data
    'musdb18hq'
    >>> beside("bsseval_v4", Songs("stems", "", 5), FOUR).rows
    ()
    """
    data = next((name for name, known in DATA.items() if known.layout == songs.layout), None)
    reason = _differs(songs, data)
    if data is None or reason:
        return Beside(None, (), reason)
    rows = published(metric=metric, data=data, stems=stems, contaminated=True, editions=editions)
    if not rows:
        return Beside(data, (), f"No scores of {', '.join(stems)} are published on {DATA[data].title}.")
    seen = {mark for row in rows for mark in row.marks(data)}
    return Beside(data, rows, "; ".join(f"{mark} {MARKS[mark]}" for mark in MARKS if mark in seen))


@functools.cache
def all_rows() -> tuple[Row, ...]:
    """Every row of every table, as written; most callers want those of one metric from `published`."""
    folder = resources.files("unbraid.evaluation") / "published"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name
    )
    return tuple(
        row for file in files for row in _rows(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
    )


def _rows(table: dict[str, Any], where: str) -> list[Row]:
    """The rows of one file, with the metric and the data set that it says once."""
    from unbraid.config import structure  # imported here so that importing this module stays instant

    shared = {key: table[key] for key in table if key != "rows"}
    return [structure({**shared, **row}, Row, where=f"{where}, {row['model']}") for row in table["rows"]]


def _rank(row: Row, stems: Sequence[str]) -> tuple[bool, float]:
    score = row.over(stems)
    return row.contaminated, math.inf if score is None else -score


def _mixed(metric: str, data: str, found: Sequence[Row]) -> UsageError:
    """Why numbers of a metric find nothing on a data set, and which would."""
    known = dict.fromkeys(row.metric for row in found)
    tables = " and ".join(f"{name} ({METRICS[name].title}: {METRICS[name].statistic})" for name in known)
    options = " or ".join(f"--metrics {METRICS[name].option}" for name in known)
    return UsageError(
        f"ours are numbers of {metric}, those published on {DATA[data].title} are of {tables}; "
        f"metrics are never mixed in one table: run with {options}"
    )


def _differs(songs: Songs, data: str | None) -> str:
    """In what our songs are others than the published ones, as a sentence; empty: in nothing."""
    if data is None:
        titles = " and ".join(known.title for known in DATA.values() if known.layout)
        return (
            f"Nothing published stands beside these scores: no songs of the layout {songs.layout} have any, "
            f"those of {titles} do."
        )
    known = DATA[data]
    if (songs.split, songs.count) != (known.split, known.songs):
        part = f" of {songs.split}" if songs.split else " of all parts"
        return (
            f"Nothing published stands beside these scores: what is there on {known.title} is of the "
            f"{known.songs} songs of {known.split}, these are of {songs.count}{part}; "
            f"score all of it with --split {known.split}."
        )
    if not songs.whole:
        return (
            "Nothing published stands beside these scores: what is there is of whole songs, these are of "
            "parts; leave --start and --duration out."
        )
    return ""
