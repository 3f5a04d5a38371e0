"""The steps of a chain as they are written: separate, subtract, sum, blend. Records only.

Each names the signals that it hears and those that it makes. Needs no torch, and no network.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError, UnknownModelError, did_you_mean
from unbraid.zoo import catalog
from unbraid.zoo.ensembles import EnsembleCard, Member, ensemble_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Rule = Literal["mean", "median", "min", "max"]
Domain = Literal["waveform", "spectrum"]

_NAME = re.compile(r"\w[\w.-]{0,63}")  # no comma: names stand in lists on the command line
_RESERVED = ("rest",)  # means something where stems are asked for


@dataclass(frozen=True, slots=True)
class Separate:
    """A model or an ensemble makes several signals of one.

    Args:
        separate: The signal that it hears.
        model: A model or an ensemble, by name or by the path of its file; empty where there are members.
        members: An ensemble of the chain's own.
        rule: Of these members; None: their mean.
        domain: Where the rule is applied; None: on waveforms.
        into: What each source is called from here on, by source; sources that are not named are let go.
            Empty: all keep their names.

    Raises:
        ConfigError: If it is not said with what to separate, or said twice.
    """

    separate: str
    model: str = ""
    members: tuple[Member, ...] = ()
    rule: Rule | None = None
    domain: Domain | None = None
    into: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.model) == bool(self.members):
            raise ConfigError(
                f"{self.separate!r} is to be separated with {'two things' if self.model else 'nothing'}; say "
                "one of `model` (a model or an ensemble) and `members` (an ensemble of your own)"
            )
        if self.model and (self.rule or self.domain):
            raise ConfigError(f"a rule and a domain are for `members`; {self.model} has its own")
        _require_names(self.into.values())

    @property
    def hears(self) -> tuple[str, ...]:
        """The one signal."""
        return (self.separate,)

    @property
    def makes(self) -> tuple[str, ...]:
        """The names of what it makes."""
        return tuple(self.signals.values())

    @property
    def sentence(self) -> str:
        """What it does, in words for a person."""
        names = " and ".join(member.model for member in self.members) or self.model
        renamed = [
            source if source == name else f"{source} as {name}" for source, name in self.signals.items()
        ]
        rule = f", their {self.rule or 'mean'}" if self.members else ""
        return f"{names} of {self.separate}{rule}: {', '.join(renamed)}"

    @property
    def ensemble(self) -> EnsembleCard | None:
        """The ensemble that does it; None: one model."""
        if self.model:
            return ensemble_for(self.model)
        name = f"the members that separate {self.separate!r}"
        return EnsembleCard(name, self.members, self.rule or "mean", self.domain or "waveform")

    @property
    def signals(self) -> dict[str, str]:
        """The names of what it makes, by source.

        Raises:
            ConfigError: If it does not make a source, or its sources are not known and not said.
            UnknownModelError: If there is no such model.
        """
        card = self.ensemble
        known = card.sources if card else _sources_of(self.model)
        if known is None:  # of a file of the user's own, which is looked into when it is loaded
            if not self.into:
                raise ConfigError(f"{self.model} is a file: say in `into` which of its sources are made")
            return self.into
        for source in self.into:
            if source not in known:
                who = self.model or "the ensemble"
                raise ConfigError(
                    f"{who} makes {', '.join(known)}, and no {source!r}{did_you_mean(source, known)}"
                )
        return self.into or {source: source for source in known}

    @property
    def terms(self) -> dict[str, int] | None:
        """What all that it makes adds up to what it hears by; None where it is not meant to.

        What is not meant to: some of the sources only, or members that know different ones.
        """
        card = self.ensemble
        made = card.sources if card else _sources_of(self.model)
        makers = {_sources_of(member.model) for member in card.members} if card else {made}
        if made is None or len(made) < 2 or set(self.signals) != set(made):
            return None
        if any(sources is None or set(sources) != set(made) for sources in makers):
            return None
        return {self.separate: -1, **dict.fromkeys(self.signals.values(), 1)}

    def models(self, signals: Iterable[str]) -> tuple[str, ...]:
        """The models without which these signals are not made."""
        wanted = set(signals)
        card = self.ensemble
        if card is None:
            return (self.model,)
        sources = [source for source, name in self.signals.items() if name in wanted]
        return tuple(member.model for member in card.heard(sources))


@dataclass(frozen=True, slots=True)
class Subtract:
    """What is left of a signal without others.

    Args:
        subtract: The others.
        from_: The signal.
        into: The name of what is left.
    """

    subtract: tuple[str, ...]
    from_: str
    into: str

    def __post_init__(self) -> None:
        _require_each_once((self.from_, *self.subtract), least=2)
        _require_names([self.into])

    @property
    def hears(self) -> tuple[str, ...]:
        """The signal, and the others."""
        return (self.from_, *self.subtract)

    @property
    def makes(self) -> tuple[str, ...]:
        """What is left."""
        return (self.into,)

    @property
    def sentence(self) -> str:
        """What it does, in words for a person."""
        return f"{self.from_} without {' and '.join(self.subtract)}: {self.into}"

    @property
    def factors(self) -> dict[str, float]:
        """How much each signal counts in the sum."""
        return {self.from_: 1.0, **dict.fromkeys(self.subtract, -1.0)}


@dataclass(frozen=True, slots=True)
class Sum:
    """Signals added up.

    Args:
        sum: The signals.
        into: The name of their sum.
    """

    sum: tuple[str, ...]
    into: str

    def __post_init__(self) -> None:
        _require_each_once(self.sum, least=1)
        _require_names([self.into])

    @property
    def hears(self) -> tuple[str, ...]:
        """The signals."""
        return self.sum

    @property
    def makes(self) -> tuple[str, ...]:
        """Their sum."""
        return (self.into,)

    @property
    def sentence(self) -> str:
        """What it does, in words for a person."""
        return f"the sum of {' and '.join(self.sum)}: {self.into}"

    @property
    def factors(self) -> dict[str, float]:
        """How much each signal counts in the sum."""
        return dict.fromkeys(self.sum, 1.0)


@dataclass(frozen=True, slots=True)
class Blend:
    """Several estimates of one thing made one.

    Args:
        blend: The estimates.
        into: The name of what comes out.
        rule: What becomes of them.
        domain: Where the rule is applied: on samples, or on bins of a spectrum.
        weights: How much each counts in a mean, positive; 1 where nothing is said.

    Raises:
        ConfigError: If a weight is not positive, or that of another signal.
    """

    blend: tuple[str, ...]
    into: str
    rule: Rule = "mean"
    domain: Domain = "waveform"
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_each_once(self.blend, least=1)
        _require_names([self.into])
        for name, weight in self.weights.items():
            if name not in self.blend:
                raise ConfigError(
                    f"a weight is for {name!r}, and blended are {', '.join(self.blend)}"
                    f"{did_you_mean(name, self.blend)}"
                )
            if not 0 < weight < math.inf:
                raise ConfigError(f"a weight is more than 0, not {name} = {weight}")

    @property
    def hears(self) -> tuple[str, ...]:
        """The estimates."""
        return self.blend

    @property
    def makes(self) -> tuple[str, ...]:
        """What becomes of them."""
        return (self.into,)

    @property
    def sentence(self) -> str:
        """What it does, in words for a person."""
        return f"the {self.rule} of {' and '.join(self.blend)} in the {self.domain}: {self.into}"

    @property
    def counts(self) -> dict[str, float]:
        """The weight of each."""
        return {name: self.weights.get(name, 1.0) for name in self.blend}


Step = Separate | Subtract | Sum | Blend

_KINDS: Mapping[str, type[Step]] = {
    "separate": Separate,
    "subtract": Subtract,
    "sum": Sum,
    "blend": Blend,
}


def step_of(table: object, where: str) -> Step:
    """A step as it is written.

    Args:
        table: Its keys and values; the key that only its kind has tells which it is.
        where: What to call it in an error.

    Raises:
        ConfigError: If it is no step, or not one of a single kind; says each fault.

    >>> step_of({"subtract": "vocals", "from": "mixture", "into": "band"}, "step 1").hears
    ('mixture', 'vocals')
    """
    keys = list(table) if isinstance(table, dict) else []
    kinds = [kind for kind in _KINDS if kind in keys]
    if not isinstance(table, dict) or len(kinds) != 1:
        near = "".join(did_you_mean(key, _KINDS) for key in keys if key not in _KINDS)
        raise ConfigError(
            f"{where}: a step says one of {', '.join(_KINDS)}, and this says "
            f"{' and '.join(kinds) or 'none of them'}{near}"
        )
    spelt = dict(table)
    if isinstance(spelt.get("subtract"), str):
        spelt["subtract"] = [spelt["subtract"]]
    into = spelt.get("into")
    if kinds == ["separate"] and isinstance(into, list) and all(isinstance(name, str) for name in into):
        spelt["into"] = {name: name for name in into}
    return structure(spelt, _KINDS[kinds[0]], where=where)


def unspelt(step: Step) -> dict[str, Any]:
    """A step as plain values: without what is not said of it, and without the folders of its models."""
    plain = {key: value for key, value in unstructure(step).items() if value}
    if not isinstance(step, Separate):
        return plain
    members = [{**member, "model": Path(member["model"]).name} for member in plain.get("members", ())]
    what = {"members": members} if members else {"model": Path(step.model).name}
    return {**plain, **what, "into": step.signals}


def _sources_of(model: str) -> tuple[str, ...] | None:
    """What a model makes; None for a file of the user's own.

    Raises:
        UnknownModelError: If no model has this name and no file this path.
    """
    try:
        return catalog.card(model).sources
    except UnknownModelError:
        if os.path.exists(model):  # noqa: PTH110 - Path.exists raises for a name too long
            return None
        raise


def _require_names(names: Iterable[str]) -> None:
    """Refuse what cannot be the name of a signal."""
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ConfigError(
                f"{name!r} cannot be the name of a signal; letters, digits, '_', '-' and '.' can, and "
                f"{', '.join(_RESERVED)} has a meaning of its own"
            )


def _require_each_once(names: tuple[str, ...], *, least: int) -> None:
    if len(names) < least or len(set(names)) < len(names):
        raise ConfigError(f"a step takes {', '.join(names) or 'nothing'}; name signals, each once")
