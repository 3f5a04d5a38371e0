"""Ensembles by name or from a file: which models separate together, and how much each counts.

    rule = "mean"                     # or "median", "min", "max"
    domain = "waveform"               # or "spectrum"

    [[members]]
    model = "htdemucs_ft.vocals"      # a name, or the path of a checkpoint
    weights = { vocals = 1 }          # of the sources that count; without weights all do, alike

The published ones stand in `ensembles/`, a table each. Needs no torch, and no network.
"""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.config import structure
from unbraid.errors import ConfigError, UnknownModelError, UsageError
from unbraid.zoo import catalog
from unbraid.zoo.checkpoint import Score  # noqa: TC001 - the converter reads the annotations at run time

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class Member:
    """One model of an ensemble.

    Args:
        model: Its name, or the path of a checkpoint.
        weights: How much it counts, by source; empty: 1 for each of its sources.

    Raises:
        ConfigError: If a weight is negative or no number.
    """

    model: str
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = [
            f"{source} = {weight}" for source, weight in self.weights.items() if not 0 <= weight < math.inf
        ]
        if wrong:
            raise ConfigError(f"{self.model}: a weight is 0 or more, not {', '.join(wrong)}")

    @property
    def counts(self) -> dict[str, float]:
        """The weights above 0, by source.

        Raises:
            ConfigError: If it has no weights and no card, so that its sources are not known.
            UnknownModelError: If no model has its name.
        """
        if self.weights:
            return {source: weight for source, weight in self.weights.items() if weight > 0}
        try:
            return dict.fromkeys(catalog.card(self.model).sources, 1.0)
        except UnknownModelError as error:
            if Path(self.model).is_file():
                raise ConfigError(
                    f"{self.model} is a file: say in `weights` which of its sources count"
                ) from error
            raise


@dataclass(frozen=True, slots=True)
class EnsembleCard:
    """What is known of an ensemble.

    Args:
        name: As a user types it.
        members: The models, at least one.
        rule: What becomes of several estimates of one source.
        domain: Where the rule is applied: on samples, or on bins of a spectrum.
        description: One sentence for a musician.
        citation: The paper.
        aliases: Other names it answers to.
        scores: Published measurements.

    Raises:
        ConfigError: If it has no members, or none of them counts for anything.
    """

    name: str
    members: tuple[Member, ...]
    rule: Literal["mean", "median", "min", "max"] = "mean"
    domain: Literal["waveform", "spectrum"] = "waveform"
    description: str = ""
    citation: str = ""
    aliases: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError(f"{self.name}: an ensemble has one member or more")

    @property
    def sources(self) -> tuple[str, ...]:
        """What it makes, in the order of its members' first mention.

        Raises:
            ConfigError: If no source counts, or a member's sources are not known.
            UnknownModelError: If no model has a member's name.
        """
        found = tuple(dict.fromkeys(source for member in self.members for source in member.counts))
        if not found:
            raise ConfigError(f"{self.name}: every weight is 0; an ensemble makes at least one source")
        return found

    def heard(self, sources: Iterable[str]) -> tuple[Member, ...]:
        """The members that have a say in any of these sources.

        Raises:
            ConfigError: If a member's sources are not known.
            UnknownModelError: If no model has a member's name.
        """
        wanted = set(sources)
        return tuple(member for member in self.members if member.counts.keys() & wanted)


def list_ensembles() -> tuple[str, ...]:
    """The names of the published ensembles.

    >>> "htdemucs_ft" in list_ensembles()
    True
    """
    return tuple(_tables())


def list_models() -> tuple[str, ...]:
    """The names of all that can be separated with: models, the parts of ensembles, ensembles, presets.

    >>> "htdemucs" in list_models()
    True
    """
    from unbraid.zoo.chains import list_presets  # whose steps ask this module for ensembles

    return (*catalog.list_models(), *list_ensembles(), *list_presets())


def ensemble_for(name_or_path: str | Path) -> EnsembleCard | None:
    """The ensemble that a name or a path means; None where it means no ensemble.

    Args:
        name_or_path: A published ensemble's name or alias, or the path of a TOML file; one with `steps` is a
            chain, and no ensemble.

    Raises:
        ConfigError: If the file is no ensemble; says each fault.
        UnknownModelError: If there is no such file.
        UsageError: If the file cannot be read.

    >>> ensemble_for("htdemucs_ft").sources
    ('drums', 'bass', 'other', 'vocals')
    """
    path = Path(name_or_path)
    if path.suffix.lower() == SUFFIX:
        table = table_of(path)
        return None if "steps" in table else _from_file(path, table)
    for name, table in _tables().items():
        if str(name_or_path) == name or str(name_or_path) in table.get("aliases", ()):
            return structure({"name": name, **table}, EnsembleCard, where=f"ensemble {name}")
    return None


def table_of(path: Path) -> dict[str, Any]:
    """What stands in a file that describes an ensemble or a chain.

    Raises:
        ConfigError: If it is no TOML.
        UnknownModelError: If there is no such file.
        UsageError: If it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnknownModelError(f"no ensemble is at {path}, and no chain") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # no TOML, or no text
        raise ConfigError(f"{path} is no TOML file: {error}") from error


def beside(path: Path, members: Iterable[Member]) -> tuple[Member, ...]:
    """Members whose models are looked for beside a file first.

    Args:
        path: Of the file that names them.
        members: As written in it.
    """
    return tuple(
        Member(str(path.parent / member.model), member.weights)
        if (path.parent / member.model).is_file()
        else member
        for member in members
    )


def _from_file(path: Path, table: dict[str, Any]) -> EnsembleCard:
    card = structure({"name": path.stem, **table}, EnsembleCard, where=str(path))
    members = beside(path, card.members)
    return EnsembleCard(card.name, members, card.rule, card.domain, card.description, card.citation)


@functools.cache
def _tables() -> dict[str, dict[str, Any]]:
    """The published ensembles as written, by name."""
    tables: dict[str, dict[str, Any]] = {}
    folder = resources.files("unbraid.zoo") / "ensembles"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(SUFFIX):
            tables.update(tomllib.loads(file.read_text(encoding="utf-8")))
    return tables
