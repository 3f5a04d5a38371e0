"""A folder of models as demucs keeps it: checkpoints named after their signature, bags as small YAML files.

    955717e8-8726e21a.th      a checkpoint; behind the hyphen its SHA-256 begins
    mine.th                   the same without a checksum
    ours.yaml                 models: ['955717e8', 'mine']
                              weights: [[1, 1, 1, 0], [0, 0, 0, 1]]
                              segment: 7

Of YAML only this is read: keys at the beginning of a line, names in quotes, lists in brackets.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.config import structure
from unbraid.errors import ConfigError, UnknownModelError, UsageError, WeightsError, did_you_mean
from unbraid.zoo.folder import SUFFIXES, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CHECKSUM = re.compile(r"(.+)-([0-9a-f]{8})")
_ENTRY = re.compile(r"^(\w+)[ \t]*:(.*?)(?=^\w|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bag:
    """What a bag's file says.

    Args:
        models: Signatures.
        weights: For each model, how much it counts for each source; None: all alike.
        segment: Seconds given to each model at once; None: as each was trained.
    """

    models: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: float | None = None


def checkpoints(folder: Path) -> dict[str, Path]:
    """The checkpoints of a folder by signature.

    Raises:
        UsageError: If it is no folder, or two files have the same signature.
    """
    found: dict[str, Path] = {}
    for path in _files(folder):
        if path.suffix not in SUFFIXES:
            continue
        signature = _parts(path)[0]
        if signature in found:
            raise UsageError(f"{folder} holds {found[signature].name} and {path.name}; keep one of them")
        found[signature] = path
    return found


def bags(folder: Path) -> dict[str, Path]:
    """The bags of a folder by name.

    Raises:
        UsageError: If it is no folder.
    """
    return {path.stem: path for path in _files(folder) if path.suffix == ".yaml"}


def require_checksum(path: Path) -> None:
    """Make sure that a checkpoint is what its name says.

    Raises:
        WeightsError: If its SHA-256 begins otherwise.
    """
    checksum = _parts(path)[1]
    found = sha256_of(path) if checksum else ""
    if not found.startswith(checksum):
        raise WeightsError(f"the SHA-256 of {path.name} begins with {found[:8]}: the file is damaged")


def read_bag(path: Path, known: Mapping[str, Path]) -> Bag:
    """What a bag's file says.

    Args:
        path: Of the file.
        known: The checkpoints beside it.

    Raises:
        ConfigError: If it is no such file.
        UnknownModelError: If it asks for other checkpoints.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = {key: ast.literal_eval(value.strip()) for key, value in _ENTRY.findall(text)}
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:  # no text is a ValueError, too
        raise ConfigError(
            f"{path} is no bag as demucs writes it: names stand in quotes, lists in brackets"
        ) from error
    bag = structure(entries, Bag, where=str(path))
    missing = [signature for signature in bag.models if signature not in known]
    if missing:
        raise UnknownModelError(
            f"{path.name} asks for {', '.join(missing)}; beside it there are {', '.join(known) or 'none'}"
            f"{did_you_mean(missing[0], known)}"
        )
    return bag


def _parts(path: Path) -> tuple[str, str]:
    """Signature and checksum; no checksum is an empty one."""
    match = _CHECKSUM.fullmatch(path.stem)
    return (match[1], match[2]) if match else (path.stem, "")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise UsageError(f"{folder} cannot be used as a folder of models: {error.strerror}") from error
