"""Where estimates come from: folders of stems, files of scores, models, and ideal masks. Each is a column."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from unbraid.audio import Audio
from unbraid.data.stems import stem_files
from unbraid.errors import UsageError, did_you_mean
from unbraid.evaluation.results import read_scores
from unbraid.io.naming import expand
from unbraid.io.read import read
from unbraid.io.write import write
from unbraid.networks.classical.oracles import ideal_binary_masks, ideal_ratio_masks, multichannel_wiener
from unbraid.separator import Separator
from unbraid.zoo.chains import chain_for
from unbraid.zoo.ensembles import ensemble_for
from unbraid.zoo.load import card_for
from unbraid.zoo.steps import unspelt

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from unbraid.data.track import Track
    from unbraid.evaluation.results import TrackScores
    from unbraid.evaluation.songs import Song
    from unbraid.progress import Event, Listener


class Column(Protocol):
    """What is scored, song by song."""

    @property
    def name(self) -> str:
        """What its row is called."""

    @property
    def is_oracle(self) -> bool:
        """Whether it knows the true stems."""

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but data, so that other processes can have it."""

    def made(self, track: Track) -> dict[str, Any]:
        """What the estimates of a song come from, as plain values; where they differ, scores may."""

    def stems(self, song: Song) -> tuple[dict[str, Tensor], list[str]]:
        """The estimates of a song, `(channels, time)` each, and what had to be done to them."""

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class Stems:
    """Estimates that lie in folders, one for each song.

    Args:
        name: What the row is called.
        folder: In which they lie.
        folders: That of each song, by the track's key.
    """

    name: str
    folder: Path
    folders: Mapping[str, Path]
    is_oracle = False
    is_plain = True

    def made(self, track: Track) -> dict[str, Any]:
        """Names, sizes and times of its files.

        Raises:
            UsageError: If the song has no folder here.
        """
        found = stem_files(self._of(track))
        files = {stem: _file(path) for stem, path in found.paths.items()}
        return {"stems": files, "gain_db": found.gain_db}

    def stems(self, song: Song) -> tuple[dict[str, Tensor], list[str]]:
        """The files of a song, at the level at which they were separated.

        Raises:
            AudioError: If one cannot be read, or does not belong to the song.
        """
        found = stem_files(self._of(song.track))
        part, gain = song.part, 10 ** (-found.gain_db / 20)
        stems, notes = {}, []
        for stem, path in found.paths.items():
            audio = read(path, start_seconds=part.start_seconds, duration_seconds=part.duration_seconds)
            fitted, note = song.fitted(stem, audio.samples, audio.sample_rate)
            stems[stem] = fitted * gain if found.gain_db else fitted
            notes += [note] if note else []
        return stems, notes

    def close(self) -> None:
        """Nothing is held."""

    def _of(self, track: Track) -> Path:
        if track.key not in self.folders:
            raise missing(track, self.folder, list(self.folders))
        return self.folders[track.key]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores that are there already, as files of museval's or ours.

    Args:
        name: What the row is called.
        folder: In which they lie.
        files: That of each song, by the track's key.
    """

    name: str
    folder: Path
    files: Mapping[str, Path]
    is_oracle = False

    def scores(self, track: Track) -> TrackScores:
        """Those of a song.

        Raises:
            UsageError: If there is none of this song, it cannot be read, or it is of a part or of sums.
        """
        if track.key not in self.files:
            raise missing(track, self.folder, list(self.files))
        said = read_scores(self.files[track.key])
        if any(said.made.get(key) for key in ("sources", "start_seconds", "duration_seconds")):
            raise UsageError(
                f"{self.files[track.key]} holds scores of a part of the song, or of sums; give the stems "
                "that were scored"
            )
        return replace(said, track=track.name, split=track.split)


ORACLES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ibm": ideal_binary_masks,
    "irm1": functools.partial(ideal_ratio_masks, power=1.0),
    "irm2": functools.partial(ideal_ratio_masks, power=2.0),
    "mwf": multichannel_wiener,
    "mixture": lambda mixture, references: mixture.expand_as(references),
}


@dataclass(frozen=True, slots=True)
class Oracle:
    """The most that masks can reach, or, as "mixture", the least that a separation should.

    Args:
        kind: One of `ORACLES`. The mixture stands for each stem as it is, not divided.

    Raises:
        UsageError: If there is no such oracle.
    """

    kind: str
    is_oracle = True
    is_plain = True

    def __post_init__(self) -> None:
        if self.kind not in ORACLES:
            raise UsageError(
                f"no oracle is called {self.kind!r}; there are {', '.join(ORACLES)}"
                f"{did_you_mean(self.kind, ORACLES)}"
            )

    @property
    def name(self) -> str:
        """As in tables and folders."""
        return f"oracle.{self.kind}"

    def made(self, track: Track) -> dict[str, Any]:  # noqa: ARG002 - the same for each song
        """Which it is."""
        return {"oracle": self.kind}

    def stems(self, song: Song) -> tuple[dict[str, Tensor], list[str]]:
        """Estimates of all true sources."""
        estimates = ORACLES[self.kind](song.mixture, song.true.samples)
        return dict(zip(song.true.sources, estimates, strict=True)), []

    def close(self) -> None:
        """Nothing is held."""


class Model:
    """Estimates that a model makes from each song's mixture, when they are asked for.

    Args:
        name: What the row is called.
        made: What decides its stems, as plain values.
        load: Loads it; called once, for the first song that has no scores yet.
        keep: Folder in which its stems are kept, as `MODEL/[SPLIT/]TRACK/STEM.wav`; None: they are not.
        listener: Told how far a separation is.
    """

    is_oracle = False
    is_plain = False

    def __init__(
        self,
        name: str,
        made: Mapping[str, Any],
        load: Callable[[Listener], Separator],
        *,
        keep: Path | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self._made, self._load, self._keep, self._listener = made, load, keep, listener
        self._separator: Separator | None = None
        self._song = ""

    def made(self, track: Track) -> dict[str, Any]:  # noqa: ARG002 - the same for each song
        """The model and its weights."""
        return dict(self._made)

    def stems(self, song: Song) -> tuple[dict[str, Tensor], list[str]]:
        """Estimates of a song, by the separation of its mixture.

        Raises:
            ModelError: If the weights cannot be had.
            Cancelled: If the caller cancelled.
        """
        self._song = song.track.name
        self._separator = self._separator or self._load(self._listen)
        rate = song.track.sample_rate
        estimates = self._separator.separate(Audio(song.mixture, rate))
        stems = {stem: audio.samples for stem, audio in estimates.items()}
        if self._keep:
            folder = self._keep / place(self.name, song.track, "").with_suffix("")
            for stem, samples in stems.items():
                write(Audio(samples, rate), folder / f"{stem}.wav")
        return stems, []

    def close(self) -> None:
        """Let go of the model."""
        if self._separator:
            self._separator.close()
            self._separator = None

    def _listen(self, event: Event) -> None:
        if self._listener:  # the separator is given samples, and knows no name for them
            name = f"{self.name}, {self._song}" if event.name == "audio" else event.name
            self._listener(replace(event, name=name))


def model(
    name: str,
    *,
    device: str = "auto",
    threads: int | None = None,
    offline: bool = False,
    weights_folder: Path | None = None,
    keep: Path | None = None,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Model:
    """A column for a model, an ensemble or a chain; its weights are read when they are needed.

    Args:
        name: As in `Separator`, like what follows.
        device: Where it runs.
        threads: Processor threads.
        offline: Never reach for the network.
        weights_folder: Looked into first for weights.
        keep: Folder in which its stems are kept; None: they are not.
        listener: Told how far a separation is.
        cancel: Set it to stop.

    Raises:
        UnknownModelError: If there is no such model.
    """
    label, identity = _identity(name)

    def load(listen: Listener) -> Separator:
        return Separator(
            name, device=device, threads=threads, offline=offline, weights_folder=weights_folder,
            on_event=listen, cancel=cancel,
        )  # fmt: skip

    return Model(label, {"model": label, **identity}, load, keep=keep, listener=listener)


def _identity(name: str) -> tuple[str, dict[str, Any]]:
    """What a model, an ensemble or a chain is called, and all that its scores depend on."""
    chain = chain_for(name)
    if chain:
        weights = {model: _weights(model) for model in chain.models()}
        steps = [unspelt(step) for step in chain.needed(chain.sources)]
        return chain.name, {"weights": weights, "steps": steps, "level": chain.about.level}
    together = ensemble_for(name)
    if together:
        return together.name, {"weights": {one.model: _weights(one.model) for one in together.members}}
    card = card_for(name)
    label = card.name if card else Path(name).stem
    return label, {"weights": {label: _weights(name)}}


def _weights(name: str) -> Any:
    """What a model's weights are known by: their card's word, or the file's size and time."""
    card = card_for(name)
    return card.identity if card else _file(Path(name))


def _file(path: Path) -> list[Any]:
    """Name, size and time of change: as much of a file as can be told without reading it."""
    try:
        about = path.stat()
    except OSError:
        return [path.name]
    return [path.name, about.st_size, about.st_mtime_ns]


def files_of(track: Track) -> dict[str, Any]:
    """What a song's true stems are read from."""
    return {
        source: [[*_file(one.path), one.stream] for one in recordings]
        for source, recordings in {**track.sources, "mixture": track.recorded}.items()
    }


def place(column: str, track: Track, suffix: str = ".json") -> Path:
    """Where a track of a column is kept, below a folder: `COLUMN/[SPLIT/]TRACK`."""
    template = "{model}/{stem}/{track}" if track.split else "{model}/{track}"
    return Path(
        expand(f"{template}.{{ext}}", model=column, track=track.name, stem=track.split, ext="json")
    ).with_suffix(suffix)


def missing(track: Track, folder: Path, known: list[str]) -> UsageError:
    """The error for a song that a folder of estimates lacks."""
    near = did_you_mean(track.key, known) or (f"; there are {', '.join(sorted(known)[:3])}" if known else "")
    return UsageError(
        f"{folder} holds nothing for {track.key}; {track.key}/STEM.wav, or {track.key}.json with scores, was "
        f"looked for{near}"
    )
