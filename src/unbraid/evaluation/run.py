"""Every song of every column: scored once, kept, and not scored again.

A column is gone through song by song, so that one model is loaded at a time, and one song is in memory: about
21 MB for each minute of a stereo stem, true or estimated, in float32, and at most twice that in scoring.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unbraid._version import __version__
from unbraid.errors import Cancelled, MachineError, ModelError, UnbraidError, UsageError
from unbraid.evaluation.columns import Scored, files_of, place
from unbraid.evaluation.results import TrackScores, read_scores
from unbraid.evaluation.scoring import DEFAULT_METRICS, METRICS, require_metrics, score, settings_of
from unbraid.evaluation.songs import (
    Part,
    Song,
    grouped_stems,
    grouped_tracks,
    named_alike,
    scorable,
)
from unbraid.progress import Reporter, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Mapping, Sequence

    from unbraid.data.track import Track
    from unbraid.evaluation.columns import Column
    from unbraid.evaluation.songs import Sources
    from unbraid.metrics.bsseval import Silence
    from unbraid.progress import Listener

    _Results = Generator[tuple["_Job", TrackScores | Exception], None, None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """A song that a column has no scores of.

    Args:
        column: Its name.
        track: The song's key.
        error: Why.
    """

    column: str
    track: str
    error: Exception

    @property
    def sentence(self) -> str:
        """What went wrong, for a person."""
        if isinstance(self.error, UnbraidError):
            return f"{self.column}: {self.error}"
        return f"{self.column}: {self.track}: this is a bug: {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of each song in each column, and what failed.

    Args:
        metrics: What was asked for.
        tracks: Keys of the songs.
        columns: Scores by the column's name, then by the song's key.
        oracles: Those columns that know the true stems.
        failures: Songs without scores.
        reused: How many scores were there already.
    """

    metrics: tuple[str, ...]
    tracks: tuple[str, ...]
    columns: Mapping[str, Mapping[str, TrackScores]]
    oracles: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()
    reused: int = 0

    @property
    def measures(self) -> tuple[str, ...]:
        """The numbers that its metrics give."""
        return tuple(measure for name in self.metrics for measure in METRICS[name].measures)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is scored, and how, alike for all columns."""

    metrics: tuple[str, ...]
    sources: Sources
    part: Part
    silence: Silence

    def settings(self, name: str) -> dict[str, Any]:
        """Those of a metric; where they differ, its numbers are taken anew."""
        return settings_of(name, self.silence)

    def made(self, column: Column, track: Track) -> dict[str, Any]:
        """What scores come from, metrics aside; where it differs, they are taken anew."""
        named = None if self.sources is None or self.sources == "four" else self.sources
        groups = self.sources if named is None else {name: list(members) for name, members in named.items()}
        return {
            "unbraid": __version__,
            "estimates": column.made(track),
            "references": files_of(track),
            "sources": groups,
            "start_seconds": self.part.start_seconds,
            "duration_seconds": self.part.duration_seconds,
        }


@dataclass(frozen=True, slots=True)
class _Job:
    """One song of one column that has to be scored."""

    track: Track
    metrics: tuple[str, ...]
    kept: TrackScores | None
    path: Path | None


@dataclass(slots=True)
class _Ledger:
    """What has become of the songs of one column so far."""

    column: Column
    scores: dict[str, TrackScores] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    jobs: list[_Job] = field(default_factory=list)

    def fail(self, track: Track, error: Exception) -> None:
        logger.debug("%s of %s failed", track.key, self.column.name, exc_info=error)
        self.failures.append(Failure(self.column.name, track.key, error))


def evaluate(
    tracks: Sequence[Track],
    columns: Sequence[Column | Scored],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    sources: Sources = None,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    silence: Silence = "energy",
    out: str | Path | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Evaluation:
    """Score every song of every column against its true stems.

    Args:
        tracks: Songs with their true stems, as from `data.layouts.tracks`.
        columns: What is scored: `Model`s, folders of `Stems`, `Oracle`s, and scores that are there already.
        metrics: Names from `evaluation.scoring.METRICS`.
        sources: None: as the songs have them; "four": vocals, drums, bass, other; or sums by a new name.
        start_seconds: Where in every song to begin.
        duration_seconds: How much of every song to score; None: to the end.
        silence: What BSSEval takes for silence: "energy", or "museval" to drop the very seconds that museval
            drops; see `metrics.bsseval.bsseval`.
        out: Folder in which scores are kept as JSON, `COLUMN/[SPLIT/]TRACK.json`, each as soon as it is
            whole; what is there, of the same files, weights and settings, is not scored again. None: nothing
            is kept.
        overwrite: Score everything again.
        jobs: Songs at once, each in a process of its own; models separate one at a time in any case.
        listener: Told how many songs of a column are done, in the stage `SCORE`.
        cancel: Set it to stop; what is scored stays.

    Returns:
        Scores, and what failed: a song that cannot be scored does not stop the others.

    Raises:
        UsageError: If there is nothing to score, two columns share a name, or a metric or source is unknown.
        Cancelled: If the caller cancelled.
    """
    require_metrics(metrics)
    _require_columns(tracks, columns)
    wish = _Wish(tuple(metrics), sources, Part(start_seconds, duration_seconds), silence)
    _require_whole(wish, columns)
    songs = grouped_tracks(tracks, sources)
    scores: dict[str, Mapping[str, TrackScores]] = {}
    failures: list[Failure] = []
    folder = None if out is None else Path(out)
    ledgers = {}
    for column in columns:
        if isinstance(column, Scored):
            scores[column.name], failed = _read(column, songs)
            failures += failed
        else:
            ledgers[column.name] = _planned(column, songs, wish, folder, overwrite=overwrite)
    reused = sum(len(ledger.scores) for ledger in ledgers.values())
    for name, ledger in ledgers.items():
        if ledger.jobs:
            _work(ledger, wish, jobs, Reporter(Stage.SCORE, name, len(ledger.jobs), listener, cancel))
        scores[name] = {song.key: ledger.scores[song.key] for song in songs if song.key in ledger.scores}
        failures += ledger.failures
    return Evaluation(
        tuple(metrics),
        tuple(song.key for song in songs),
        {column.name: scores[column.name] for column in columns},
        frozenset(column.name for column in columns if column.is_oracle),
        tuple(failures),
        reused,
    )


def _require_columns(tracks: Sequence[Track], columns: Sequence[Column | Scored]) -> None:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not tracks or not columns:
        raise UsageError("there is nothing to score; give songs with true stems, and models or estimates")
    if twice:
        raise UsageError(f"two rows would be called {twice[0]!r}; name one of them: NAME=FOLDER")


def _require_whole(wish: _Wish, columns: Sequence[Column | Scored]) -> None:
    scored = [column for column in columns if isinstance(column, Scored)]
    if scored and (wish.part != Part() or wish.sources is not None):
        raise UsageError(
            f"{scored[0].folder} holds scores of whole songs and of the stems they have; only stems can be "
            "scored in parts or in sums: give those, or leave the part and the sources out"
        )


def _read(column: Scored, songs: Sequence[Track]) -> tuple[dict[str, TrackScores], list[Failure]]:
    """Scores that are there already."""
    found = {song.key: _read_one(column, song) for song in songs}
    failures = [
        Failure(column.name, key, error) for key, error in found.items() if isinstance(error, UnbraidError)
    ]
    return {key: scores for key, scores in found.items() if isinstance(scores, TrackScores)}, failures


def _read_one(column: Scored, song: Track) -> TrackScores | UnbraidError:
    try:
        return column.scores(song)
    except UnbraidError as error:
        return error


def _planned(
    column: Column, songs: Sequence[Track], wish: _Wish, folder: Path | None, *, overwrite: bool
) -> _Ledger:
    """What is there already, and what is to do."""
    ledger = _Ledger(column)
    for song in songs:
        path = folder / place(column.name, song) if folder else None
        try:
            made = wish.made(column, song)
        except UnbraidError as error:
            ledger.fail(song, error)
            continue
        kept = None if path is None or overwrite else _kept(path, made)
        have = kept.metrics if kept else {}
        lacking = tuple(name for name in wish.metrics if have.get(name) != wish.settings(name))
        if kept and not lacking:
            ledger.scores[song.key] = kept
        else:
            ledger.jobs.append(_Job(song, lacking, kept, path))
    return ledger


def _kept(path: Path, made: Mapping[str, Any]) -> TrackScores | None:
    """Scores of the very same files, weights and settings; None where there are none."""
    if not path.is_file():
        return None
    try:
        kept = read_scores(path)
    except UsageError:  # half of a file, by whatever means: it is replaced
        return None
    return kept if kept.made == made else None


def _work(ledger: _Ledger, wish: _Wish, jobs: int, reporter: Reporter) -> None:
    """Score what is to do, and keep each song as soon as it is done."""
    column = ledger.column
    alone = jobs == 1 or not column.is_plain or len(ledger.jobs) < 2
    results = _in_turn(column, ledger.jobs, wish) if alone else _side_by_side(column, ledger.jobs, wish, jobs)
    try:
        for job, result in results:
            if isinstance(result, TrackScores):
                whole = job.kept.joined(result) if job.kept else result
                if job.path:
                    whole.write(job.path)
                ledger.scores[job.track.key] = whole
            else:
                ledger.fail(job.track, result)
            reporter.advance(1)
    finally:
        results.close()
        column.close()


def _in_turn(column: Column, jobs: Sequence[_Job], wish: _Wish) -> _Results:
    for job in jobs:
        yield job, _attempt(column, job, wish)


def _side_by_side(column: Column, jobs: Sequence[_Job], wish: _Wish, most: int) -> _Results:
    """The same in several processes, which share the processor's threads."""
    count = min(most, len(jobs))
    threads = max(1, torch.get_num_threads() // count)
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=_worker, initargs=(threads,)
    )
    try:
        futures = {pool.submit(_attempt, column, job, wish): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise MachineError(
            f"one of {count} processes ended, most likely for lack of memory; score fewer songs at once"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _worker(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; what it holds is not on disk yet


def _attempt(column: Column, job: _Job, wish: _Wish) -> TrackScores | Exception:
    """The scores of a song, or why there are none."""
    try:
        return _scored(column, job, wish)
    except (Cancelled, ModelError):  # the next song would fare no better
        raise
    except Exception as error:  # one strange song must not end a night's work; it is reported
        logger.debug("%s failed", job.track.key, exc_info=True)
        return error


def _scored(column: Column, job: _Job, wish: _Wish) -> TrackScores:
    track = job.track
    song = Song(track, wish.part)
    stems, notes = column.stems(song)
    if not column.is_oracle:  # whose stems are named after the song's already
        stems = grouped_stems(named_alike(stems, song.true.sources), wish.sources)
    references = song.references(stems)
    wanted, said = scorable(stems, references)
    if not wanted:
        raise UsageError(
            f"{track.key}: none of the estimates {', '.join(stems) or '(none)'} is one of the true stems "
            f"{', '.join(song.true.sources)}; --sources can add stems up under other names"
        )
    scores = score(
        references,
        {stem: stems[stem] for stem in wanted},
        song.mixture,
        track.sample_rate,
        job.metrics,
        silence=wish.silence,
    )
    settings = {name: wish.settings(name) for name in job.metrics}
    return TrackScores(track.name, track.split, scores, settings, wish.made(column, track), (*notes, *said))
