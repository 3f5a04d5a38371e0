"""What was learnt of files whose publisher states no hash: their SHA-256, which later downloads are held to.

    <cache>/pins.json    {"mel.gabox_voc": {"": {"sha256": "…", "source": "https://…"}}}

By the name of a model, and by what of its network a file holds; the empty part is all of it. A card's own
hash counts more. Nothing is pinned before the weights have been read as those of the card's network.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from unbraid.errors import MachineError
from unbraid.io.disk import Draft
from unbraid.zoo import cache as caches
from unbraid.zoo.folder import sha256_of
from unbraid.zoo.lock import locked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from unbraid.zoo.checkpoint import Checkpoint
    from unbraid.zoo.folder import Find

    _Pins = dict[str, dict[str, dict[str, str]]]

logger = logging.getLogger(__name__)


def path(*, cache: Path | None = None) -> Path:
    """The file that holds them."""
    return caches.root(cache) / "pins.json"


def pinned(checkpoint: Checkpoint, *, cache: Path | None = None) -> dict[str, str]:
    """The SHA-256 that was learnt of a model's files, by part; empty where none was.

    Raises:
        MachineError: If the file cannot be read, or was changed into something else.
    """
    return {part: facts["sha256"] for part, facts in _read(cache).get(_key(checkpoint), {}).items()}


def pin(checkpoint: Checkpoint, found: Find, *, cache: Path | None = None) -> None:
    """Hold later downloads to what has come; a warning says what was pinned, and where.

    Args:
        checkpoint: The card. Where it has a fingerprint, that vouches, and nothing is pinned.
        found: What has come, whole and read.
        cache: The cache's folder, if not the usual one.
    """
    if checkpoint.fingerprint:
        return
    before = pinned(checkpoint, cache=cache)
    new = {
        part: {"sha256": sha256_of(place), "source": file.label}
        for part, (file, place) in found.items()
        if file.sha256 is None and part not in before
    }
    if not new:
        return
    with locked(_lock(cache), None):
        pins = _read(cache)
        pins[_key(checkpoint)] = {**pins.get(_key(checkpoint), {}), **new}
        _write(pins, cache)
    logger.warning(
        "%s: its publisher states no whole SHA-256; that of what came, %s, is pinned in %s, and later "
        "downloads are held to it",
        checkpoint.name,
        ", ".join(facts["sha256"] for facts in new.values()),
        path(cache=cache),
    )


def forget(checkpoint: Checkpoint, *, cache: Path | None = None) -> bool:
    """Hold a model to nothing that was learnt; the next download is a first one again.

    Returns:
        Whether anything was pinned.
    """
    with locked(_lock(cache), None):
        pins = _read(cache)
        held = pins.pop(_key(checkpoint), None)
        if held is not None:
            _write(pins, cache)
    return held is not None


def advice(checkpoint: Checkpoint, pin: str, *, cache: Path | None = None) -> str:
    """What it means that another file has come than the first time, as the end of a sentence."""
    return (
        f"at the first download it was {pin}, which is pinned in {path(cache=cache)}: its publisher has "
        "changed the file, or this one is not theirs. Where you trust it, "
        f"'unbraid models forget {_key(checkpoint)}' lets it in"
    )


def _key(checkpoint: Checkpoint) -> str:
    """The model whose weights these are."""
    return checkpoint.weights_of or checkpoint.name


def _lock(cache: Path | None) -> Path:
    """The file whose lock is held while pins change."""
    place = path(cache=cache)
    with caches.usable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    return place.with_name(".pins.lock")


def _read(cache: Path | None) -> _Pins:
    place = path(cache=cache)
    with caches.usable(place):
        if not place.is_file():
            return {}
        text = place.read_text(encoding="utf-8")
    try:
        pins: _Pins = json.loads(text)
        if all(facts["sha256"] for parts in pins.values() for facts in parts.values()):
            return pins
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise MachineError(f"{place} is damaged; it holds what downloads are held to: mend it, or remove it")


def _write(pins: Mapping[str, object], cache: Path | None) -> None:
    """All of it, whole or not at all."""
    draft = Draft(path(cache=cache))
    try:
        draft.write(json.dumps(pins, indent=1, sort_keys=True).encode())
        draft.place()
    except BaseException:
        draft.discard()
        raise
