"""The cards of all models: found by name, with the near miss suggested. Needs no torch, and no network.

The data stand in `catalog/`, one TOML file per family, one table per model.
"""

from __future__ import annotations

import functools
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any

from unbraid.errors import UnknownModelError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from unbraid.zoo.checkpoint import Checkpoint


def list_models() -> tuple[str, ...]:
    """The names of all models that can be separated with.

    >>> "htdemucs" in list_models()
    True
    """
    return tuple(_tables())


def card(name: str) -> Checkpoint:
    """What is known of a model.

    Args:
        name: Its name or one of its aliases.

    Raises:
        UnknownModelError: If no model answers to the name; the nearest names are offered.

    >>> card("htdemucs").sources
    ('drums', 'bass', 'other', 'vocals')
    """
    for key, table in _tables().items():
        if name == key or name in table.get("aliases", ()):
            return _structured(key)
    near = did_you_mean(name, list_models()) or f"; there are {', '.join(list_models())}"
    raise UnknownModelError(f"no model is called {name!r}{near}")


def cards() -> tuple[Checkpoint, ...]:
    """All cards, in the order of `list_models`."""
    return tuple(_structured(name) for name in list_models())


def card_of(fingerprint: str) -> Checkpoint | None:
    """The card whose weights these are; None if no card knows them."""
    return next((known for known in cards() if known.fingerprint == fingerprint), None)


@functools.cache
def _tables() -> dict[str, dict[str, Any]]:
    """The catalogue as written: a table per model, by name."""
    tables: dict[str, dict[str, Any]] = {}
    folder = resources.files("unbraid.zoo") / "catalog"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            tables.update(tomllib.loads(file.read_text(encoding="utf-8")))
    return tables


@functools.cache
def _structured(name: str) -> Checkpoint:
    """One card as a record."""
    # Imported here so that listing names stays instant.
    from unbraid.config import structure
    from unbraid.zoo.checkpoint import Checkpoint

    return structure({"name": name, **_tables()[name]}, Checkpoint, where=f"card of {name}")
