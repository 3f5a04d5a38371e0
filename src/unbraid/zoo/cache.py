"""Where weights live on this machine: find, verify and prune them, and say how much they take.

    <cache>/models/.htdemucs.lock                        held while the model is fetched
    <cache>/models/htdemucs/<identity>.safetensors       whole and verified, or not there
    <cache>/models/htdemucs/<sha256>.part                a download that will be continued
    <cache>/models/htdemucs/.fetch-…/                    scratch of a fetch that is going on
    <cache>/graphs/<fingerprint>/…                       layers made ready for another runtime than PyTorch
    <cache>/tuning.json                                  what was found to be fastest on this machine
    <cache>/pins.json                                    hashes that were learnt; see `zoo.pins`

The identity is the fingerprint of the weights. Where the card knows none, it is the SHA-256 (or its published
beginning) of the file that they came from; the fingerprint in the file's own header then guards them.

The cache is the platform's own, unless the caller or the environment variable UNBRAID_CACHE names another.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import MachineError, UsageError, WeightsError
from unbraid.zoo import catalog
from unbraid.zoo.checkpoint import Checkpoint
from unbraid.zoo.lock import locked_if_free

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbraid.zoo.package import Package

PART = ".part"
SCRATCH = ".fetch-"
_WEIGHTS = re.compile(r"[0-9a-f]{8,64}\.safetensors")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` removed, or would remove.

    Args:
        paths: Files and folders.
        bytes: What they took on disk.
    """

    paths: tuple[Path, ...]
    bytes: int


def root(cache: Path | None = None) -> Path:
    """The cache's folder: the caller's, else UNBRAID_CACHE, else the platform's own."""
    if cache is not None:
        return cache
    named = os.environ.get("UNBRAID_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("unbraid", appauthor=False)


def path_of(model: str | Checkpoint, *, cache: Path | None = None) -> Path:
    """Where a model's weights are once they are fetched; those that several models use lie there once.

    Args:
        model: A name, or a card, of a model that has weights.
        cache: The cache's folder, if not the usual one.

    Raises:
        UnknownModelError: If no model answers to the name.
    """
    known = model if isinstance(model, Checkpoint) else catalog.card(model)
    return root(cache) / "models" / (known.weights_of or known.name) / f"{known.identity}.safetensors"


def graphs_of(fingerprint: str, *, cache: Path | None = None) -> Path:
    """The folder for layers made ready for another runtime, of the weights with this fingerprint."""
    return root(cache) / "graphs" / fingerprint


def tuning(*, cache: Path | None = None) -> Path:
    """The file of what was found to be fastest on this machine."""
    return root(cache) / "tuning.json"


def lock_of(model: str | Checkpoint, *, cache: Path | None = None) -> Path:
    """The file whose lock is held while the model is fetched."""
    folder = path_of(model, cache=cache).parent
    return folder.with_name(f".{folder.name}.lock")


def is_on_disk(model: str | Checkpoint, *, cache: Path | None = None) -> bool:
    """Whether a model's weights, if it has any, are in the cache; `verify` says whether they are sound."""
    known = model if isinstance(model, Checkpoint) else catalog.card(model)
    path = path_of(known, cache=cache)
    with usable(path.parent):
        return path.is_file() or not known.has_weights


def verify(model: str | Checkpoint, *, cache: Path | None = None) -> Path:
    """Read a model's weights from the cache and make sure that each value is the right one.

    Args:
        model: A name, or a card.
        cache: The cache's folder, if not the usual one.

    Returns:
        The file, which is sound; the card's `vouched_by` says what it was compared with.

    Raises:
        WeightsError: If the weights are not on disk, or not those of the card.
        UnknownModelError: If no model answers to the name.
        UsageError: If the model needs no weights.
    """
    known = model if isinstance(model, Checkpoint) else catalog.card(model)
    if not known.has_weights:
        raise UsageError(f"{known.name} needs no weights: there is nothing to verify")
    path = path_of(known, cache=cache)
    if not is_on_disk(known, cache=cache):
        raise WeightsError(f"{known.name} is not on disk: {path} does not exist; fetch it first")
    sound(path, known)
    return path


def sound(path: Path, card: Checkpoint) -> Package:
    """A card's weights from a file that the zoo wrote, after comparing every value.

    Args:
        path: The file, in the cache or wherever the user moved it.
        card: Its fingerprint counts; without one, that in the file's header does.

    Raises:
        WeightsError: If the file is damaged, or holds the weights of another card.
    """
    from unbraid.zoo.convert import read

    package = read(path)
    if card.fingerprint:
        package.require(card.fingerprint)
    elif package.name != (card.weights_of or card.name):
        raise WeightsError(f"{path} holds the weights of {package.name}, not those of {card.name}")
    return package


def sizes(*, cache: Path | None = None) -> dict[str, int]:
    """Bytes on disk, by the name of each model in the cache."""
    return {folder.name: _size(folder) for folder in _folders(cache)}


def prune(*, cache: Path | None = None, dry_run: bool = False) -> Pruned:
    """Remove what is no use: interrupted downloads, weights that no card knows, layers without their weights.

    Only names that the zoo itself gives are touched, and no model that is being fetched right now.

    Args:
        cache: The cache's folder, if not the usual one.
        dry_run: Only say what would be removed.

    Returns:
        What was removed and how much it took.

    Raises:
        MachineError: If something cannot be removed.
    """
    known = {path_of(card, cache=cache) for card in catalog.cards() if card.has_weights}
    paths: list[Path] = []
    total = 0
    for folder in _folders(cache):
        with locked_if_free(folder.with_name(f".{folder.name}.lock")) as free:
            for path in _stale(folder, known) if free else ():
                paths.append(path)
                total += _size(path)
                if not dry_run:
                    _remove(path)
            if free and not dry_run and not any(folder.iterdir()):
                folder.rmdir()
    for graphs in _orphans(cache, set(paths)):
        paths.append(graphs)
        total += _size(graphs)
        if not dry_run:
            _remove(graphs)
    return Pruned(tuple(paths), total)


@contextlib.contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn the system's refusals to read or write in the cache into one sentence.

    Raises:
        MachineError: If the disk is full, the folder is read-only or closed to this user, or the like.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"cannot use {folder}: {error.strerror or error}; make room or the permission, "
            "or name another cache folder in the environment variable UNBRAID_CACHE"
        ) from error


def _folders(cache: Path | None) -> list[Path]:
    """The folder of each model in the cache."""
    models = root(cache) / "models"
    with usable(models):
        return sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []


def _stale(folder: Path, known: set[Path]) -> list[Path]:
    """What in a model's folder is no use."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == PART
        or path.name.startswith(SCRATCH)
        or (_WEIGHTS.fullmatch(path.name) and path not in known)
    )


def _orphans(cache: Path | None, removed: set[Path]) -> list[Path]:
    """Folders of layers whose weights are not in the cache, or removed from it."""
    graphs = root(cache) / "graphs"
    with usable(graphs):
        files = {path for folder in _folders(cache) for path in folder.glob("*.safetensors")}
        there = {path.stem for path in files - removed}
        folders = graphs.iterdir() if graphs.is_dir() else ()
        return sorted(folder for folder in folders if folder.is_dir() and folder.name not in there)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    """Remove a file or a folder."""
    with usable(path.parent):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
