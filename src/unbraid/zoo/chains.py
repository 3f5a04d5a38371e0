"""Chains by name or from a file: what is separated first, and what is made of it then.

    stems = ["lead_vocals", "backing_vocals", "band"]   # what comes out; without it, all that no step hears
    level = "mixture"                     # or "heard": what later networks are levelled by

    [[steps]]
    separate = "mixture"                  # the recording, or what another step makes
    model = "htdemucs_ft"                 # a model or an ensemble; or `members`, `rule` and `domain`
    into = ["vocals"]                     # the sources to go on with; without it, all

    [[steps]]
    subtract = ["vocals"]
    from = "mixture"
    into = "band"

    [[steps]]
    separate = "vocals"
    model = "uvr_mdx.kara_2"
    into = { lead_vocals = "lead_vocals", accompaniment = "backing_vocals" }    # under other names

Further steps: `sum = [...]`, and `blend = [...]` with `rule`, `domain` and `weights`. Steps may stand in any
order. The published chains are called presets and stand in `presets/`, a file each. Needs no torch, and no
network.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.config import structure
from unbraid.engine.order import MIXTURE, in_order, needed
from unbraid.errors import ConfigError, UnknownModelError, did_you_mean
from unbraid.zoo.ensembles import SUFFIX, beside, table_of
from unbraid.zoo.steps import Blend, Separate, step_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbraid.zoo.steps import Step

_MOST_STEPS = 64  # a file may come from anywhere

LevelOf = Literal["mixture", "heard"]


@dataclass(frozen=True, slots=True)
class About:
    """What a chain says of itself besides its steps.

    Args:
        name: As a user types it.
        stems: What comes out, in order; empty: every signal that no step hears.
        level: What levelled networks of later steps are levelled by: the mixture, or what they hear.
        description: One sentence for a musician.
        citation: Who thought of it.
    """

    name: str
    stems: tuple[str, ...] = ()
    level: LevelOf = "mixture"
    description: str = ""
    citation: str = ""


@dataclass(frozen=True, slots=True)
class ChainCard:
    """What is known of a chain.

    Args:
        about: What it says of itself.
        steps: Its steps, in any order.

    Raises:
        ConfigError: If a step hears what no step makes, a signal is made twice, steps wait for each other, a
            model does not make a source, or a stem is no signal.
        UnknownModelError: If there is no model of a name.
    """

    about: About
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= _MOST_STEPS:
            raise ConfigError(
                f"{self.name}: a chain has 1 to {_MOST_STEPS} steps, and this has {len(self.steps)}"
            )
        for step in self.steps:
            if isinstance(step, Separate) and step.model and _is_chain(step.model):
                raise ConfigError(
                    f"{self.name}: {step.model} is a chain itself; a step takes a model or an ensemble, so "
                    "write the steps of that chain here"
                )
        try:
            in_order(self.steps)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        for stem in self.about.stems:
            if stem not in self.signals:
                raise ConfigError(
                    f"{self.name}: {stem!r} is to come out, and no step makes it; they make "
                    f"{', '.join(self.signals)}{did_you_mean(stem, self.signals)}"
                )

    @property
    def name(self) -> str:
        """As a user types it."""
        return self.about.name

    @property
    def signals(self) -> tuple[str, ...]:
        """All that its steps make."""
        return tuple(name for step in self.steps for name in step.makes)

    @property
    def sources(self) -> tuple[str, ...]:
        """What comes out where nothing else is asked for."""
        heard = {name for step in self.steps for name in step.hears}
        return self.about.stems or tuple(name for name in self.signals if name not in heard)

    @property
    def between(self) -> tuple[str, ...]:
        """What comes out only where it is asked for."""
        return tuple(name for name in self.signals if name not in self.sources)

    def needed(self, signals: Iterable[str]) -> tuple[Step, ...]:
        """The steps without which these signals are not made, each after those that it needs."""
        return needed(in_order(self.steps), signals)

    def wanted(self, signals: Iterable[str]) -> frozenset[str]:
        """These signals, and all that the steps hear which they need."""
        names = tuple(signals)
        return frozenset((*names, *(name for step in self.needed(names) for name in step.hears)))

    def models(self, signals: Iterable[str] | None = None) -> tuple[str, ...]:
        """The models that are needed, by name or path, each once.

        Args:
            signals: For what; None: for what comes out where nothing else is asked for.
        """
        names = self.sources if signals is None else tuple(signals)
        wanted = self.wanted(names)
        steps = [step for step in self.needed(names) if isinstance(step, Separate)]
        return tuple(dict.fromkeys(model for step in steps for model in step.models(wanted)))

    def adds_up(self, signals: Iterable[str]) -> bool:
        """Whether these signals together are meant to be the mixture, by what the steps say.

        >>> chain_for("karaoke").adds_up(["vocals", "accompaniment"])
        True
        """
        wanted: dict[str, int] = {MIXTURE: -1}
        for name in signals:
            wanted[name] = wanted.get(name, 0) + 1
        return _follows([equation for step in self.steps for equation in _equations(step)], wanted)


def list_presets() -> tuple[str, ...]:
    """The names of the published chains.

    >>> "karaoke" in list_presets()
    True
    """
    return tuple(_tables())


def preset(name: str) -> ChainCard:
    """A published chain.

    Raises:
        UnknownModelError: If none has the name; the nearest names are offered.
    """
    tables = _tables()
    if name not in tables:
        near = did_you_mean(name, tables) or f"; there are {', '.join(tables)}"
        own = "; for a chain of your own, give its file as the model" if Path(name).suffix == SUFFIX else near
        raise UnknownModelError(f"no preset is called {name!r}{own}")
    return _chain(name, tables[name])


def chain_for(name_or_path: str | Path) -> ChainCard | None:
    """The chain that a name or a path means; None where it means none.

    Args:
        name_or_path: A preset's name, or the path of a TOML file with `steps`.

    Raises:
        ConfigError: If the chain cannot be; says each fault.
        UnknownModelError: If there is no such file, or no model that a step names.
        UsageError: If the file cannot be read.

    >>> chain_for("drum_kit").sources
    ('kick', 'snare', 'toms', 'cymbals', 'drumless')
    """
    path = Path(name_or_path)
    if path.suffix.lower() == SUFFIX:
        table = table_of(path)
        return _chain(path.stem, table, path) if "steps" in table else None
    return preset(str(name_or_path)) if str(name_or_path) in _tables() else None


def _is_chain(model: str) -> bool:
    """Whether a name or a path means a chain, whose steps may be faulty."""
    path = Path(model)
    return "steps" in table_of(path) if path.suffix.lower() == SUFFIX else model in _tables()


def _chain(name: str, table: Mapping[str, Any], path: Path | None = None) -> ChainCard:
    """A chain from what is written of it; models are looked for beside its file first."""
    where = str(path) if path else f"preset {name}"
    rest = {key: value for key, value in table.items() if key != "steps"}
    about = structure({"name": name, **rest}, About, where=where)
    steps = table["steps"]
    if not isinstance(steps, list):
        raise ConfigError(f"{where}: steps is no list; each step begins with [[steps]]")
    found = [step_of(step, f"{where}, step {number}") for number, step in enumerate(steps, 1)]
    return ChainCard(about, tuple(_beside(path, step) if path else step for step in found))


def _beside(path: Path, step: Step) -> Step:
    """A step whose models are looked for beside its file first."""
    if not isinstance(step, Separate):
        return step
    own = path.parent / step.model
    model = str(own) if step.model and own.is_file() else step.model
    return Separate(step.separate, model, beside(path, step.members), step.rule, step.domain, step.into)


def _equations(step: Step) -> list[dict[str, int]]:
    """What a step says of its signals: sums that are meant to be nothing."""
    if isinstance(step, Separate):
        return [step.terms] if step.terms else []
    if isinstance(step, Blend):
        return [{name: 1, step.into: -1} for name in step.blend]
    return [{**{name: int(factor) for name, factor in step.factors.items()}, step.into: -1}]


def _follows(equations: Iterable[Mapping[str, int]], wanted: Mapping[str, int]) -> bool:
    """Whether a sum of signals is nothing wherever these sums are; by Gaussian elimination."""
    rows: dict[str, dict[str, Fraction]] = {}  # by a signal that no earlier row holds: 1 of it, and others

    def reduced(terms: Mapping[str, int]) -> dict[str, Fraction]:
        left = {name: Fraction(factor) for name, factor in terms.items()}
        for signal, row in rows.items():
            times = left.get(signal, Fraction(0))
            for name, factor in row.items():
                left[name] = left.get(name, Fraction(0)) - times * factor
        return {name: factor for name, factor in left.items() if factor}

    for equation in equations:
        left = reduced(equation)
        if left:
            signal, leading = next(iter(left.items()))
            rows[signal] = {name: factor / leading for name, factor in left.items()}
    return not reduced(wanted)


@functools.cache
def _tables() -> dict[str, dict[str, Any]]:
    """The published chains as written, by name."""
    folder = resources.files("unbraid.zoo") / "presets"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(SUFFIX)), key=lambda file: file.name
    )
    return {file.name.removesuffix(SUFFIX): tomllib.loads(file.read_text(encoding="utf-8")) for file in files}
