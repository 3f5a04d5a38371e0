"""Stems in a folder, whoever wrote them: which files they are, what they are called, which sum up others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbraid.data.track import MIXTURE
from unbraid.errors import UsageError
from unbraid.io.naming import SUFFIXES, track_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SIDECAR = "unbraid.json"  # beside stems that were written with the usual template
ORDER = ("vocals", "drums", "bass", "guitar", "piano", "other", "accompaniment", "no_vocals")
MIXTURES = (MIXTURE, "mix")


@dataclass(frozen=True, slots=True)
class StemFiles:
    """The stems of one song as files.

    Args:
        name: Of the model that made them, or of the folder.
        paths: By the stem's name.
        gain_db: By what all were changed so that none clips.
    """

    name: str
    paths: Mapping[str, Path]
    gain_db: float = 0.0


def stem_files(folder: Path) -> StemFiles:
    """The stems that lie in a folder.

    Where Unbraid wrote them, its JSON file beside them says which they are, by which model, and with what
    common gain. Elsewhere each audio file is the stem it is named after; a mixture among them is passed over.

    Args:
        folder: Where they are.

    Raises:
        UsageError: If there are none, or two of one name.
    """
    return _written(folder) or StemFiles(folder.resolve().name, _found(folder))


def left_out(stem: str) -> str | None:
    """What a stem is everything but; None where it is no such stem.

    >>> left_out("accompaniment"), left_out("no_drums"), left_out("drums")
    ('vocals', 'drums', None)
    """
    if stem == "accompaniment":
        return "vocals"
    return stem.removeprefix("no_") if stem.startswith("no_") else None


def in_order(stems: Iterable[str]) -> list[str]:
    """Names of stems, voices first, then as in `ORDER`, then by name."""
    places = {stem: place for place, stem in enumerate(ORDER)}
    return sorted(stems, key=lambda stem: (places.get(stem, len(ORDER)), stem))


def _written(folder: Path) -> StemFiles | None:
    """What the JSON file beside stems says; None where there is none, or it is another's."""
    try:
        said: Any = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        paths = {str(stem): folder / about["file"] for stem, about in said["stems"].items()}
        model, gain_db = str(said["model"]), float(said["gain_db"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return StemFiles(model, paths, gain_db) if all(path.is_file() for path in paths.values()) else None


def _found(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one that holds a song's stems, such as vocals.wav")
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = track_name(path).lower()
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or stem in MIXTURES:
            continue
        if stem in paths:
            raise UsageError(
                f"{folder} holds {paths[stem].name} and {path.name}; keep one file for each stem"
            )
        paths[stem] = path
    if not paths:
        raise UsageError(f"{folder} holds no stems such as vocals.wav; name the folder of one song's stems")
    return paths
