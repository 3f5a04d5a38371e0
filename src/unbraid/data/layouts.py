"""Which data set lies in a folder: one literal table from what lies there to the reader that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.data import annotated, named
from unbraid.errors import UsageError, did_you_mean
from unbraid.io.naming import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unbraid.data.track import Track


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set lies on disk.

    Args:
        marks: Patterns below its folder; a folder in which a file fits one of them has this layout.
        read: From the data set's folder and the files that fit to the songs.
        looks: How it looks, for people.
    """

    marks: tuple[str, ...]
    read: Callable[[Path, list[Path]], list[Track]]
    looks: str


_SUFFIXES = {*SUFFIXES, ".json", ".yaml"}  # audio, and what describes it

# The first that fits is taken, so those that say most about themselves stand first.
LAYOUTS: Mapping[str, Layout] = {
    "musdb18": Layout(("*.stem.mp4", "*/*.stem.mp4"), named.musdb18, "{train,test}/SONG.stem.mp4"),
    "moisesdb": Layout(
        ("*/data.json", "*/*/data.json"), annotated.moisesdb, "moisesdb_v0.1/ID/{data.json,STEM/ID.wav}"
    ),
    "slakh2100": Layout(
        ("Track*/metadata.yaml", "*/Track*/metadata.yaml"),
        annotated.slakh2100,
        "{train,validation,test}/TrackNNNNN/{metadata.yaml,mix.flac,stems/SNN.flac}",
    ),
    "medleydb": Layout(
        ("*/*_MIX.wav", "*/*/*_MIX.wav"), annotated.medleydb, "Audio/SONG/{SONG_MIX.wav,SONG_STEMS/*.wav}"
    ),
    "dsd100": Layout(
        ("Mixtures/*/*/mixture.wav", "Mixtures/*/*/mixture.flac"),
        named.dsd100,
        "{Mixtures/{Dev,Test}/SONG/mixture.wav,Sources/{Dev,Test}/SONG/{vocals,drums,bass,other}.wav}",
    ),
    "musdb18hq": Layout(
        tuple(f"{split}/*/mixture.{kind}" for split in ("train", "test") for kind in ("wav", "flac")),
        named.musdb18hq,
        "{train,test}/SONG/{mixture,vocals,drums,bass,other}.wav",
    ),
    "stems": Layout(
        ("*.*", "*/*.*", "*/*/*.*"), named.stems, "SONG/{vocals,drums,...}.wav, a mixture.wav if there is one"
    ),
}


def tracks(folder: str | Path, layout: str | None = None) -> list[Track]:
    """The songs of a data set, with their true sources; no audio is read yet.

    Args:
        folder: Where the data set lies.
        layout: Its layout, a name from `LAYOUTS`; None: the first whose files are there.

    Returns:
        Its songs, sorted by split and name.

    Raises:
        UsageError: If there is no such folder, no such layout, or no song in it.
        AudioError: If a file that describes a song does not say what it must.
        MachineError: If such a file is YAML, and PyYAML is not installed.
    """
    folder = _existing(folder)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(
            f"no layout is called {layout!r}; there are {', '.join(LAYOUTS)}{did_you_mean(layout, LAYOUTS)}"
        )
    known = LAYOUTS[layout or layout_of(folder)]
    songs = known.read(folder, _found(folder, known.marks))
    if not songs:
        raise UsageError(f"{folder} holds no song that looks like {known.looks}")
    return sorted(songs, key=lambda track: track.key)


def layout_of(folder: str | Path) -> str:
    """The layout of a data set, by what lies there: the first of `LAYOUTS` whose files are there.

    Raises:
        UsageError: If there is no such folder, or nothing in it fits any layout.
    """
    folder = _existing(folder)
    for name, layout in LAYOUTS.items():
        if _found(folder, layout.marks):
            return name
    looks = "; ".join(f"{name}: {layout.looks}" for name, layout in LAYOUTS.items())
    raise UsageError(f"{folder} holds no data set of a known layout; these are known: {looks}")


def _existing(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give the one that holds the data set")
    return folder


def _found(folder: Path, marks: tuple[str, ...]) -> list[Path]:
    """Files that fit one of the patterns, unless they or their folders are hidden."""
    paths = sorted({path for mark in marks for path in folder.glob(mark)})
    return [
        path
        for path in paths
        if path.suffix.lower() in _SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
