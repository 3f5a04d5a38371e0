"""Weights that a person keeps: found in a folder by hash or name, and what to put there where they lack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unbraid.errors import MachineError, UsageError, WeightsError
from unbraid.zoo.archive import extract

if TYPE_CHECKING:
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile

SUFFIXES = frozenset(
    {".th", ".pt", ".pth", ".ckpt", ".chpt", ".gz", ".tgz", ".zip", ".safetensors", ".onnx", ".index", ".h5"}
)
_PIECE = 2**18  # bytes

# By part, the empty one being the whole: which of a card's files it is, and where it lies.
Find = Mapping[str, tuple["WeightFile", Path]]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    return sha256_so_far(path).hexdigest()


def sha256_so_far(path: Path) -> hashlib._Hash:
    """The hash of what a file holds, to be continued; of nothing where there is no file."""
    digest = hashlib.sha256()
    if path.exists():
        with path.open("rb") as handle:
            while piece := handle.read(_PIECE):
                digest.update(piece)
    return digest


def in_folder(card: Checkpoint, folder: Path) -> Find | None:
    """All files of one of a card's ways that lie in a folder; None where none is complete.

    A file is known by its hash, whatever it is called; by its name where its publisher states no hash, or
    where it was unpacked from an archive whose hash is all that is stated, and a fingerprint will tell.

    Args:
        card: The card.
        folder: The folder.

    Raises:
        UsageError: If the folder is none.
        MachineError: If it cannot be read.
    """
    shelf = _Shelf(_listed(folder))
    for way in sorted(card.ways, key=_is_named_only):
        found = {part: shelf.first(files, by_name=bool(card.fingerprint)) for part, files in way.items()}
        if all(found.values()):
            return {part: each for part, each in found.items() if each}
    return None


def beside(card: Checkpoint, path: Path, sha256: str) -> Find:
    """All files of a card, one of which the user named.

    Args:
        card: The card.
        path: The file.
        sha256: Of the file.

    Raises:
        WeightsError: If it is a part of the weights and the others do not lie beside it.
    """
    known = next((file for file in card.files if _is_it(file, path, sha256)), card.files[0])
    if known.part is None:
        return {"": (known, path)}
    found = in_folder(card, path.parent)
    if found is None:
        others = {file.name: None for file in card.files if file.part not in {None, known.part}}
        raise WeightsError(
            f"{path.name} is the part {known.part} of {card.name}, and not all other parts lie beside it: "
            f"put {', '.join(others)} into {path.parent}, or name the model, {card.name}, and not the file"
        )
    return found


def unpacked(found: Find, scratch: Path) -> dict[str, Path]:
    """The files themselves, by part, where an archive was found taken out of it.

    Args:
        found: What was found.
        scratch: An empty folder for what is unpacked; the caller removes it.

    Raises:
        DownloadError: If an archive is damaged, or does not hold what its card says.
    """
    paths = {}
    for number, (part, (file, path)) in enumerate(found.items()):
        member = PurePosixPath(file.member or "")
        if file.is_packed and path.name != member.name:
            (scratch / str(number)).mkdir()
            paths[part] = extract(path, str(member), scratch / str(number))
        else:
            paths[part] = path
    return paths


def said_of(file: WeightFile) -> str:
    """What a card says of a file's SHA-256."""
    return file.sha256 or (f"{file.sha256_prefix}…" if file.sha256_prefix else "not published")


def offline_advice(card: Checkpoint, folder: Path) -> str:
    """What to put where so that it works without a connection."""
    ways = [
        ", ".join(
            " or ".join(f"{file.name} (SHA-256 {said_of(file)})" for file in files) for files in way.values()
        )
        for way in card.ways
    ]
    several = any(len(way) > 1 for way in card.ways)
    return (
        f"{card.name} is not on this machine and fetching is switched off; put "
        f"{'these files' if several else 'one of these files'} in {folder} and name that folder as the "
        f"folder of weights: {'; or '.join(ways) if several else ', '.join(ways)}"
    )


def by_hand_advice(card: Checkpoint) -> str:
    """Where a person gets the weights, and what to do with them."""
    files = [alternatives[0] for alternatives in card.ways[0].values()]
    pages = " and ".join(dict.fromkeys(file.page or file.label for file in files))
    names = ", ".join(dict.fromkeys(file.name for file in files))
    return (
        f"{card.name} must be fetched by hand: get {pages}, unpack it if it is packed, and look "
        f"for {names}; then name its folder as the folder of weights, once, or its path as the model"
    )


def _listed(folder: Path) -> list[Path]:
    """Files in a folder that may hold weights."""
    try:
        return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} was given as the folder of weights, but it is no folder") from None
    except OSError as error:
        raise MachineError(f"the folder of weights {folder} cannot be read: {error.strerror}") from error


def _is_named_only(way: Mapping[str, tuple[WeightFile, ...]]) -> bool:
    """Whether some part can be known by its name only; a hash is believed more."""
    return any(file.hash is None for files in way.values() for file in files)


def _is_it(file: WeightFile, path: Path, sha256: str) -> bool:
    """Whether a file of the user's is one of a card's, as `catalog.card_of_file` has found."""
    return file.has_hash(sha256) or (file.hash is None and file.name == path.name)


class _Shelf:
    """Files of a folder, each hashed at most once."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._hashes: dict[Path, str] = {}

    def first(self, files: tuple[WeightFile, ...], *, by_name: bool) -> tuple[WeightFile, Path] | None:
        """The first of some alternatives that is here, and where."""
        return next(
            ((file, path) for file in files for path in self._paths if self._is(file, path, by_name=by_name)),
            None,
        )

    def _is(self, file: WeightFile, path: Path, *, by_name: bool) -> bool:
        if file.hash is None:
            return path.name == file.name
        if file.is_packed and by_name and path.name == PurePosixPath(file.member or "").name:
            return True
        if file.bytes not in {None, path.stat().st_size}:
            return False
        if path not in self._hashes:
            self._hashes[path] = sha256_of(path)
        return file.has_hash(self._hashes[path])
