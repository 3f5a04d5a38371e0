"""Data sets whose files say by their names alone what they are.

musdb18     Rafii et al., "The MUSDB18 corpus", 2017, doi 10.5281/zenodo.1117372; order of the streams: musdb.
musdb18hq   Rafii et al., "MUSDB18-HQ", 2019, doi 10.5281/zenodo.3338373.
dsd100      Liutkus et al., "The 2016 signal separation evaluation campaign", LVA/ICA 2017.
stems       any folder with a file for each source, as separation programs write them, ours among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.data.track import MIXTURE, Recording, Track
from unbraid.errors import AudioError
from unbraid.io.naming import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOUR = ("vocals", "drums", "bass", "other")
_STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")  # of a .stem.mp4, in the order of its streams
_MIXTURES = (MIXTURE, "mix")


def musdb18(folder: Path, files: list[Path]) -> list[Track]:
    """A `.stem.mp4` for each song: five streams of AAC."""
    return [
        Track(
            path.name.removesuffix(".stem.mp4"),
            {source: (Recording(path, _STREAMS.index(source)),) for source in FOUR},
            (Recording(path),),
            split_of(path.parent, folder),
        )
        for path in files
    ]


def musdb18hq(folder: Path, files: list[Path]) -> list[Track]:
    """A folder with five files for each song; a source whose file is missing stays among the sources."""
    return [_of_four(mixture, mixture.parent, split_of(mixture.parents[1], folder)) for mixture in files]


def dsd100(folder: Path, files: list[Path]) -> list[Track]:
    """The same with the mixtures in a tree of their own."""
    return [
        _of_four(
            mixture, folder / "Sources" / mixture.relative_to(folder / "Mixtures").parent, mixture.parts[-3]
        )
        for mixture in files
    ]


def stems(folder: Path, files: list[Path]) -> list[Track]:
    """A folder for each song, a file for each source, and one called mixture or mix if there is one."""
    by_song: dict[Path, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in SUFFIXES:
            by_song.setdefault(path.parent, []).append(path)
    found = []
    for song, paths in by_song.items():
        sources = _by_name(paths)
        recorded = [sources.pop(name) for name in _MIXTURES if name in sources]
        if sources:
            split = split_of(song.parent, folder) if song != folder else ""
            name = song.resolve().name
            found.append(Track(name, sources, recorded[0] if recorded else (), split))
    return found


def split_of(folder: Path, root: Path) -> str:
    """The part of a data set that a folder within it is; nothing for the data set itself."""
    return folder.relative_to(root).as_posix().removeprefix(".")


def _of_four(mixture: Path, folder: Path, split: str) -> Track:
    # Converted to another format they are still the same data set.
    sources = {source: (Recording(folder / f"{source}{mixture.suffix}"),) for source in FOUR}
    return Track(mixture.parent.name, sources, (Recording(mixture),), split)


def _by_name(paths: Iterable[Path]) -> dict[str, tuple[Recording, ...]]:
    """Each file as a source called after it."""
    sources: dict[str, tuple[Recording, ...]] = {}
    for path in paths:
        name = path.stem.lower().replace(" ", "_")
        if name in sources:
            raise AudioError(
                f"{path.parent} holds {name} twice, as {sources[name][0]} and {path.name}; keep one of them"
            )
        sources[name] = (Recording(path),)
    return sources
