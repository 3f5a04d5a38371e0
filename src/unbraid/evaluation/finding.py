"""Which folder, or file of scores, belongs to which song, however they are laid out.

    [SPLIT/]TRACK/STEM.wav             museval's estimates, DSD100's Estimates, and most others
    MODEL/TRACK/STEM.wav               what `unbraid separate` writes
    [SPLIT/]TRACK.json                 scores as museval writes them, and `unbraid evaluate`

A place belongs to a song if the song's name is one of the parts of its path, and no other song's split is.
Where that fits several, its own split must be one. Case and Unicode's normal form don't count.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.data.stems import stem_files
from unbraid.errors import UsageError
from unbraid.evaluation.columns import Scored, Stems, missing
from unbraid.io.naming import SUFFIXES, expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbraid.data.track import Track

_DEEPEST = 5  # folders below the one that is given


def column_in(folder: str | Path, tracks: Sequence[Track], name: str = "") -> Stems | Scored:
    """A column for a folder of estimates or of scores.

    Args:
        folder: Where they lie.
        tracks: The songs they are of.
        name: What the row is called; "": the model that the stems say they are of, else the folder's name.

    Raises:
        UsageError: If there is no such folder, nothing in it belongs to any of the songs, or several things
            belong to one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one with estimates, such as TRACK/vocals.wav")
    audio, scores = _searched(folder)
    if len(tracks) == 1 and folder in audio:
        found = {tracks[0].key: folder}
    else:
        found = _matched(folder, tracks, audio or scores)
    label = name or folder.resolve().name
    if not audio:
        return Scored(label, folder, found)
    first = stem_files(next(iter(found.values())))
    return Stems(name or _told(first.name, found) or label, folder, found)


def named_columns(folders: Sequence[str], tracks: Sequence[Track]) -> list[Stems | Scored]:
    """A column for each folder as it was typed: `FOLDER`, or `NAME=FOLDER`.

    Raises:
        UsageError: As `column_in` does.
    """
    columns = []
    for typed in folders:
        name, equals, rest = typed.partition("=")
        chosen = bool(equals) and not Path(typed).exists()
        columns.append(column_in(rest if chosen else typed, tracks, name if chosen else ""))
    return columns


def _told(name: str, found: Mapping[str, Path]) -> str:
    """The model's name, where it is not only the song's folder's."""
    return "" if name in {path.resolve().name for path in found.values()} else name


def _searched(folder: Path) -> tuple[dict[Path, set[str]], dict[Path, set[str]]]:
    """Folders with audio and files of scores below a folder, each with the parts of its path."""
    audio: dict[Path, set[str]] = {}
    scores: dict[Path, set[str]] = {}
    for at, folders, files in os.walk(folder):
        place = Path(at)
        parts = place.relative_to(folder).parts
        shown = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = shown if len(parts) < _DEEPEST else []
        names = [Path(name) for name in sorted(files) if not name.startswith(".")]
        if any(name.suffix.lower() in SUFFIXES for name in names):
            audio[place] = {_plain(part) for part in parts}
        for name in names:
            if name.suffix == ".json":
                scores[place / name] = {_plain(part) for part in (*parts, name.stem)}
    return audio, scores


def _matched(folder: Path, tracks: Sequence[Track], places: Mapping[Path, set[str]]) -> dict[str, Path]:
    """Of each track, by its key, the place that belongs to it; those without one are left out."""
    found = {}
    splits = {_plain(track.split) for track in tracks if track.split}
    for track in tracks:
        split = _plain(track.split) if track.split else ""
        hits = [
            place
            for place, parts in places.items()
            if _plain(track.name) in parts and (split in parts or splits.isdisjoint(parts))
        ]
        if len(hits) > 1 and split:
            hits = [place for place in hits if split in places[place]] or hits
        if len(hits) > 1:
            raise UsageError(
                f"{hits[0]} and {hits[1]} could both be of {track.key}; give a folder with one of them, such "
                "as that of one model"
            )
        if hits:
            found[track.key] = hits[0]
    if not found:
        names = [place.name if place.is_dir() else place.stem for place in places]
        raise missing(tracks[0], folder, names)
    return found


def _plain(name: str) -> str:
    """A name as it is compared: without what file systems change of it."""
    safe = expand("{track}", model="-", track=name.removesuffix(".stem"), stem="-", ext="-")
    return unicodedata.normalize("NFC", safe).casefold()
