"""Data sets in which each song has a file that says what its recordings are.

moisesdb    Pereira et al., "MoisesDB: a dataset for source separation beyond 4-stems", ISMIR 2023.
slakh2100   Manilow et al., "Cutting music source separation some Slakh", WASPAA 2019; metadata.yaml.
medleydb    Bittner et al., "MedleyDB: a multitrack dataset for annotation-intensive MIR research",
            ISMIR 2014, and 2.0, 2016; NAME_METADATA.yaml.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from unbraid.data.named import split_of
from unbraid.data.track import Recording, Track
from unbraid.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterable


def moisesdb(folder: Path, files: list[Path]) -> list[Track]:
    """A folder for each song: its sources are its stems, each of several recordings, which add up to it."""
    songs = [_moisesdb_song(path, folder) for path in files]
    names = Counter(song.name for song in songs)
    return [
        replace(song, name=f"{song.name} ({path.parent.name})") if names[song.name] > 1 else song
        for song, path in zip(songs, files, strict=True)
    ]


def _moisesdb_song(path: Path, folder: Path) -> Track:
    song = _checked(path, _json(path), dict)
    pairs = []
    for stem in _field(path, song, "stems", list):
        name = _field(path, stem, "stemName", str)
        for one in _field(path, stem, "tracks", list):
            file = f"{_field(path, one, 'id', str)}.{_field(path, one, 'extension', str)}"
            pairs.append((name, _inside(path, path.parent / name / file)))
    title = " - ".join(str(song[key]) for key in ("artist", "song") if song.get(key))
    return Track(title or path.parent.name, _grouped(path, pairs), (), split_of(path.parents[1], folder))


def slakh2100(folder: Path, files: list[Path]) -> list[Track]:
    """A folder for each song: its sources are MIDI's classes of instruments, each of several stems."""
    found = []
    for path in files:
        stems = _field(path, _checked(path, _yaml(path), dict), "stems", dict)
        mixture = next((at for at in sorted(path.parent.glob("mix.*"))), path.parent / "mix.flac")
        pairs = [
            (
                _field(path, stem, "inst_class", str),
                _inside(path, path.parent / "stems" / f"{key}{mixture.suffix}"),
            )
            for key, stem in stems.items()
            if _checked(path, stem, dict).get("audio_rendered", True)  # some instruments were never played
        ]
        split = split_of(path.parents[1], folder)
        found.append(Track(path.parent.name, _grouped(path, pairs), (Recording(mixture),), split))
    return found


def medleydb(folder: Path, files: list[Path]) -> list[Track]:
    """A folder for each song: its sources are instruments, each of several stems.

    The mixture is a mastered one and no plain sum: `Track.summed` makes the one that is.
    """
    found = []
    for mixture in files:
        name = mixture.name.removesuffix("_MIX.wav")
        path = _medleydb_metadata(mixture, name, folder)
        facts = _checked(path, _yaml(path), dict)
        stems = mixture.parent / f"{name}_STEMS"
        pairs = [
            (_instrument(path, stem), _inside(mixture, stems / _field(path, stem, "filename", str)))
            for stem in _field(path, facts, "stems", dict).values()
        ]
        found.append(Track(name, _grouped(path, pairs), (Recording(mixture),)))
    return found


def _medleydb_metadata(mixture: Path, name: str, folder: Path) -> Path:
    """The file about a song: beside its audio in the first edition, in a folder for all in later ones."""
    file = f"{name}_METADATA.yaml"
    places = [mixture.parent / file, folder / "Metadata" / file, folder.parent / "Metadata" / file]
    for place in places:
        if place.is_file():
            return place
    raise AudioError(
        f"{name} has no {file}, neither beside its mixture nor in {folder / 'Metadata'}; it comes with the "
        "data set or with the package medleydb, in its folder Metadata"
    )


def _instrument(path: Path, stem: Any) -> str:
    """What plays; where several do, all of them."""
    found = _checked(path, stem, dict).get("instrument")
    return " and ".join(map(str, found)) if isinstance(found, list) else _field(path, stem, "instrument", str)


def _grouped(path: Path, pairs: Iterable[tuple[str, Path]]) -> dict[str, tuple[Recording, ...]]:
    """The recordings of each source, under a name of the house: lower case with underscores."""
    sources: dict[str, tuple[Recording, ...]] = {}
    for name, file in pairs:
        source = re.sub(r"\W+", "_", name.lower()).strip("_")
        sources[source] = (*sources.get(source, ()), Recording(file))
    if not sources:
        raise AudioError(f"{path} names no recording; get it again")
    return sources


def _inside(path: Path, file: Path) -> Path:
    """The file, if it lies in the song's own folder: what a downloaded file says leads nowhere else."""
    if not Path(os.path.normpath(file)).is_relative_to(os.path.normpath(path.parent)):
        raise AudioError(f"{path} names {file}, which is not in its own folder; get it again")
    return file


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AudioError(f"{path} is no JSON: {error}; get it again") from error


def _yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise AudioError(f"{path} is no YAML: {error}; get it again") from error


def _field(path: Path, mapping: Any, key: str, kind: type) -> Any:
    """One entry of what a file says."""
    found = _checked(path, mapping, dict).get(key)
    if not isinstance(found, kind):
        raise AudioError(f"{path} says {key!r} as {found!r}; a {kind.__name__} was expected, get it again")
    return found


def _checked(path: Path, value: object, kind: type) -> Any:
    if not isinstance(value, kind):
        raise AudioError(f"{path} holds {value!r:.60} where a {kind.__name__} was expected; get it again")
    return value
