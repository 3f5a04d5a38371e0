"""`unbraid evaluate`: scores of models, or of stems in folders, on songs with true stems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, GroupedCommand, flag, parse_time
from unbraid.errors import PartialFailure, UsageError, did_you_mean
from unbraid.progress import OutputReady, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from unbraid.cli.console import Display
    from unbraid.data.track import Track
    from unbraid.evaluation.columns import Column, Scored
    from unbraid.evaluation.run import Evaluation
    from unbraid.evaluation.songs import Sources
    from unbraid.metrics.bsseval import Silence
    from unbraid.progress import Event, Listener


class Evaluate(GroupedCommand):
    """A command with its options under headings."""

    groups = {  # noqa: RUF012 - declared where it comes from
        "What is scored": ("data", "models", "oracles", "layout", "split", "start", "duration"),
        "How": ("metrics", "silence", "sources", "jobs", "device", "threads", "offline", "weights_folder"),
        "What is kept": ("out", "overwrite", "keep_stems", "csv", "parquet", "frames"),
        "What is shown": ("stems", "compare", "level", "beside", "json", "quiet"),
    }


@click.command(
    cls=Evaluate,
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid evaluate --data musdb18hq --split test -n htdemucs -n umxl
  unbraid evaluate --data songs/ -n htdemucs --oracle irm2 --csv scores.csv
  unbraid evaluate songs/ estimates/                      folders of stems, TRACK/vocals.wav
  unbraid evaluate songs/ mine=stems/a theirs=stems/b --metrics sdr,si_sdr
  unbraid evaluate musdb18hq/ museval/ --split test       scores that museval has written

\b
Metrics: bsseval, sdr, snr, si_sdr, sd_sdr, log_wmse, multi_resolution_stft, l1_frequency, bleedless,
fullness. Oracles: ibm, irm1, irm2, mwf (ideal masks), and mixture, the song itself as each stem.
""",
)
@click.argument("folders", metavar="[REFERENCES] [[NAME=]ESTIMATES]...", nargs=-1)
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", show_default="REFERENCES",
    help="Songs with true stems; what stands without an option then is all estimates.",
)  # fmt: skip
@click.option(
    "-n", "--model", "models", multiple=True, metavar="NAME", show_default="none",
    help="Model, ensemble or preset to separate with and score. May be given again.",
)  # fmt: skip
@click.option(
    "--oracle", "oracles", multiple=True, metavar="NAME", show_default="none",
    help="A row of ideal masks, or of the mixture. May be given again.",
)  # fmt: skip
@click.option(
    "--layout", metavar="NAME", show_default="what lies there",
    help="How the data set is laid out: musdb18, musdb18hq, dsd100, moisesdb, slakh2100, medleydb or stems.",
)  # fmt: skip
@click.option("--split", metavar="NAME", show_default="all", help="Only this part of the data set: test.")
@click.option("--start", type=parse_time, metavar="TIME", default="0", help="Begin here, in every song.")
@click.option(
    "--duration", type=parse_time, metavar="TIME", show_default="to the end", help="Only this much of each."
)
@click.option("--metrics", default="bsseval,sdr", metavar="A,B", help="How to score; see below.")
@click.option(
    "--silence", type=click.Choice(["energy", "museval"]), default="energy",
    help="What BSSEval leaves out as silent. museval: also stereo whose channels cancel each other, as in "
    "published scores.",
)  # fmt: skip
@click.option(
    "--sources", multiple=True, metavar="own|four|NAME=A+B", show_default="own",
    help="Sources of songs and estimates. four: vocals, drums, bass and other of any data set. NAME=A+B: "
    "sums; may be given again.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, metavar="N",
    help="Songs at once, for estimates that are there already. A song takes all cores by itself; more take "
    "as many times the memory.",
)  # fmt: skip
@click.option("-d", "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", show_default="all cores",
    help="Processor threads that models take.",
)  # fmt: skip
@flag("--offline", help="Never reach for the internet.")
@click.option(
    "--weights-folder", "--repo", "weights_folder", type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER", show_default="none", help="Look for weights here first.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default="evaluation", metavar="FOLDER",
    help="Where scores are kept, as JSON that museval reads; what is there already is not scored again.",
)  # fmt: skip
@flag("--overwrite", help="Score everything again.")
@click.option(
    "--keep-stems", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", show_default="off",
    help="Keep what models separate now, in 32-bit wav.",
)  # fmt: skip
@click.option(
    "--csv", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", show_default="off",
    help="A row for each number of each song; replaced if it is there.",
)  # fmt: skip
@click.option(
    "--parquet", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", show_default="off",
    help="The same as Parquet.",
)  # fmt: skip
@flag("--frames", help="A row for each second, too, in both.")
@click.option("--stems", metavar="A,B", show_default="all", help="Only these in tables.")
@click.option(
    "--compare", metavar="NAME", show_default="the first", help="The row that others are compared with."
)
@click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, metavar="SHARE",
    help="Of the intervals.",
)  # fmt: skip
@click.option(
    "--beside/--no-beside", default=None, show_default="where there are any",
    help="Published scores on the same songs by the same metric.",
)  # fmt: skip
@flag("--json", help="One JSON object on stdout.")
@flag("-q", "--quiet", help="No progress and no notes.")
def evaluate(**values: Any) -> None:
    """Score models, or stems in folders, on true stems.

    REFERENCES is a data set or a folder of stems for each song; ESTIMATES are folders of the same songs, as
    any program wrote them, or scores that museval wrote. Each is a row. A song that cannot be scored does not
    stop the others.
    """
    _run(_Wish(**values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The options, named as on the command line."""

    folders: tuple[str, ...]
    data: Path | None
    models: tuple[str, ...]
    oracles: tuple[str, ...]
    layout: str | None
    split: str | None
    start: float
    duration: float | None
    metrics: str
    silence: Silence
    sources: tuple[str, ...]
    jobs: int
    device: str
    threads: int | None
    offline: bool
    weights_folder: Path | None
    out: Path
    overwrite: bool
    keep_stems: Path | None
    csv: Path | None
    parquet: Path | None
    frames: bool
    stems: str | None
    compare: str | None
    level: float
    beside: bool | None
    json: bool
    quiet: bool

    @property
    def references(self) -> Path:
        """The data set's folder.

        Raises:
            UsageError: If none was named.
        """
        if self.data is None and not self.folders:
            raise UsageError("name a folder of songs with true stems, and models with -n or estimates")
        return self.data or Path(self.folders[0])

    @property
    def estimates(self) -> tuple[str, ...]:
        """Folders as typed."""
        return self.folders if self.data else self.folders[1:]


def _run(wish: _Wish) -> None:
    # Imported here so that help is instant: this brings torch.
    from unbraid.cli.evaluated import show, standing_beside
    from unbraid.cli.interrupt import interruptible
    from unbraid.data.layouts import layout_of
    from unbraid.evaluation import run
    from unbraid.evaluation.scoring import require_metrics
    from unbraid.evaluation.tables import require_table, write_table

    # What can be said at once is said before hours of work.
    exports = [require_table(path) for path in (wish.csv, wish.parquet) if path]
    layout = wish.layout or layout_of(wish.references)
    songs, sources = _songs(wish, layout), _sources(wish.sources)
    metrics, stems = _listed(wish.metrics), _listed(wish.stems or "")
    require_metrics(metrics)
    with interruptible() as cancel, console.display(quiet=wish.quiet) as display:
        columns = _columns(wish, songs, _Shown(display), cancel)
        _require(wish, stems, songs, sources, columns)
        whole = not wish.start and wish.duration is None and sources in (None, "four")
        published = standing_beside(metrics, layout, songs, whole=whole, wanted=wish.beside)
        found = run.evaluate(
            songs,
            columns,
            metrics=metrics,
            sources=sources,
            start_seconds=wish.start,
            duration_seconds=wish.duration,
            silence=wish.silence,
            out=wish.out,
            overwrite=wish.overwrite,
            jobs=wish.jobs,
            listener=_Shown(display),
            cancel=cancel,
        )
    for path in exports:
        write_table(found, path, frames=wish.frames)
    show(
        found, published, stems=stems, baseline=wish.compare, level=wish.level, as_json=wish.json,
        quiet=wish.quiet,
    )  # fmt: skip
    if not wish.quiet:
        console.say(f"scores are in {wish.out}; {found.reused} were there already")
    _require_success(found)


class _Shown:
    """A listener that shows how far the songs are, and the model that is at work."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, OutputReady):
            return
        if event.stage is Stage.SCORE and event.total is not None:
            if event.done < event.total:
                fraction = event.fraction or 0.0
                what = f"{event.name}: song"
                self._display.batch(event.done + 1, event.total, fraction, event.eta_seconds, what)
            return
        self._display(event)
        if event.stage is Stage.SEPARATE and event.done == event.total:
            self._display(replace(event, stage=Stage.SCORE, done=0, total=None))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _sources(typed: Sequence[str]) -> Sources:
    """What --sources means."""
    if not typed or typed == ("own",):
        return None
    if typed == ("four",):
        return "four"
    groups: dict[str, tuple[str, ...]] = {}
    for text in typed:
        name, equals, members = text.partition("=")
        parts = tuple(part.strip() for part in members.split("+") if part.strip())
        if not (name and equals and parts) or name in groups:
            raise UsageError(
                f"--sources {text} says nothing new; write own, four, or a sum such as accompaniment=drums+"
                "bass+other, each name once"
            )
        groups[name] = parts
    return groups


def _songs(wish: _Wish, layout: str) -> list[Track]:
    """The songs that are scored."""
    from unbraid.data.layouts import tracks

    songs = tracks(wish.references, layout)
    if wish.split is None:
        return songs
    splits = sorted({song.split for song in songs})
    if wish.split not in splits:
        raise UsageError(
            f"{wish.references} has no part called {wish.split!r}; it has "
            f"{', '.join(filter(None, splits)) or 'no parts'}{did_you_mean(wish.split, splits)}"
        )
    return [song for song in songs if song.split == wish.split]


def _columns(
    wish: _Wish, songs: Sequence[Track], listener: Listener, cancel: threading.Event
) -> list[Column | Scored]:
    """Every row, folders first, oracles last."""
    from unbraid.evaluation.columns import Oracle, model
    from unbraid.evaluation.finding import named_columns

    if not (wish.estimates or wish.models or wish.oracles):
        raise UsageError("there is nothing to score; name models with -n, or folders of estimates")
    folders = named_columns(wish.estimates, songs)
    models = [
        model(
            name,
            device=wish.device,
            threads=wish.threads,
            offline=wish.offline,
            weights_folder=wish.weights_folder,
            keep=wish.keep_stems,
            listener=listener,
            cancel=cancel,
        )
        for name in wish.models
    ]
    return [*folders, *models, *(Oracle(name) for name in wish.oracles)]


def _require(
    wish: _Wish,
    stems: Sequence[str],
    songs: Sequence[Track],
    sources: Sources,
    columns: Sequence[Column | Scored],
) -> None:
    """Refuse names that no table could have."""
    from unbraid.data.stems import left_out
    from unbraid.evaluation.songs import grouped_tracks

    known = {source for song in grouped_tracks(songs, sources) for source in song.sources}
    strange = [stem for stem in stems if stem not in known and left_out(stem) not in known]
    if strange:
        raise UsageError(
            f"no song has a stem called {strange[0]!r}; there are {', '.join(sorted(known))}"
            f"{did_you_mean(strange[0], known)}"
        )
    rows = [column.name for column in columns if not column.is_oracle]
    if wish.compare is not None and wish.compare not in rows:
        raise UsageError(
            f"no row is called {wish.compare!r}; there are {', '.join(rows) or 'none but oracles'}"
            f"{did_you_mean(wish.compare, rows)}"
        )


def _require_success(found: Evaluation) -> None:
    """Raise what the exit code is made from.

    Raises:
        UnbraidError: The only song's own error.
        PartialFailure: If any of several failed.
    """
    total = len(found.columns) * len(found.tracks)
    if total == 1 and found.failures:
        raise found.failures[0].error
    for failure in found.failures:
        console.fail(failure.sentence)
    if found.failures:
        names = ", ".join(f"{failure.track} ({failure.column})" for failure in found.failures[:3])
        more = f" and {len(found.failures) - 3} more" if len(found.failures) > 3 else ""
        raise PartialFailure(f"{len(found.failures)} of {total} scores are missing: {names}{more}")
