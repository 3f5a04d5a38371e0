"""The cards of all models: found by name, with the near miss suggested. Needs no torch, and no network.

The data stand in `catalog/`, one TOML file per family, one table per model: the fields of `Checkpoint`. What
many models have in common is said once:

    [family]                holds for each model of the file that does not say otherwise; `title` and `year`
                            are the family's own
    [networks.kim]          holds for each model that says `network = "kim"`; the `config` of both is joined,
                            and the network's sources are those of the model
    [measures.multisong]    metric, dataset and origin of each score that says `measure = "multisong"`
    weights_of = "other"    files, and what is said of them, are those of the other model
    file = { at = […], … }  one file of torch's in several places, in the order they are tried: addresses, and
                            files of a model hub as "hub owner/name/path"; the rest is a `WeightFile`'s
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
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile


_FAMILY, _NETWORKS, _MEASURES = "family", "networks", "measures"
_HUB = "hub "
# What a card has in common with that whose weights it uses in another configuration.
_OF_WEIGHTS = ("files", "fingerprint", "parameters", "bytes")


def list_models() -> tuple[str, ...]:
    """The names of all models that can be separated with.

    >>> "htdemucs" in list_models()
    True
    """
    return tuple(_tables())


def families() -> dict[str, tuple[str, ...]]:
    """The names of all models, by the title of their family; the youngest family comes first.

    >>> list(families().values())[-1]
    ('hpss', 'hpss.residual', 'repet', 'repet_sim', 'rpca', 'centre', 'nmf')
    """
    return {title: tuple(tables) for title, tables in _families().items()}


def card(name: str) -> Checkpoint:
    """What is known of a model.

    Args:
        name: Its name or one of its aliases.

    Raises:
        UnknownModelError: If no model answers to the name; the nearest names are offered.

    >>> card("htdemucs").sources
    ('drums', 'bass', 'other', 'vocals')
    >>> card("955717e8").name
    'htdemucs'
    """
    tables = _tables()
    if name in tables:
        return _structured(name)
    for key, table in tables.items():
        if name in table.get("aliases", ()):
            return _structured(key)
    raise UnknownModelError(f"no model is called {name!r}{_near(name)}")


def cards() -> tuple[Checkpoint, ...]:
    """All cards, in the order of `list_models`."""
    return tuple(_structured(name) for name in list_models())


def card_of(fingerprint: str) -> Checkpoint | None:
    """The card whose weights these are, the one whose own they are first; None if no card knows them."""
    alike = [known for known in cards() if known.fingerprint == fingerprint]
    return min(alike, key=lambda known: known.weights_of is not None, default=None)


def card_of_file(sha256: str, name: str, *, whole: bool = False) -> Checkpoint | None:
    """The card that a file as published belongs to; None if no card knows it.

    Args:
        sha256: Of the file.
        name: The file's own, which counts where the publisher states no hash and no fingerprint will tell.
        whole: Only a card whose network is in this one file.
    """
    found = [
        (file.part is not None, known.weights_of is not None, known)
        for known in cards()
        for file in known.files
        if file.has_hash(sha256) or (_is_known_by_name(file, known) and file.name == name)
    ]
    fitting = [entry for entry in found if not (whole and entry[0])]
    return min(fitting, key=lambda entry: entry[:2])[2] if fitting else None


def _is_known_by_name(file: WeightFile, known: Checkpoint) -> bool:
    """Whether nothing but its name tells that a file which a person has is a card's."""
    return not file.hash and (file.kind == "manual" or not known.fingerprint)


def _near(name: str) -> str:
    """What there is instead of a name, as the end of a sentence."""
    from unbraid.zoo.chains import list_presets  # which ask this module for cards
    from unbraid.zoo.ensembles import list_ensembles

    aliases = [alias for table in _tables().values() for alias in table.get("aliases", ())]
    alone = [key for key, table in _tables().items() if not table.get("member")]
    near = did_you_mean(name, [*list_presets(), *list_ensembles(), *list_models(), *aliases])
    return near or f"; there are {', '.join([*list_presets(), *list_ensembles(), *alone])}"


@functools.cache
def _families() -> dict[str, dict[str, dict[str, Any]]]:
    """The catalogue as written: by the title of a family, a table per model by name."""
    folder = resources.files("unbraid.zoo") / "catalog"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name
    )
    found = [tomllib.loads(file.read_text(encoding="utf-8")) for file in files]
    found.sort(key=lambda tables: tables[_FAMILY]["year"], reverse=True)
    return dict(map(_family, found))


def _family(tables: dict[str, dict[str, Any]]) -> tuple[str, dict[str, dict[str, Any]]]:
    """The title of a family, and its models with what they share."""
    shared = tables.pop(_FAMILY)
    networks = tables.pop(_NETWORKS, {})
    measures = tables.pop(_MEASURES, {})
    title = shared.pop("title")
    del shared["year"]
    return title, {name: _model(table, shared, networks, measures) for name, table in tables.items()}


def _model(
    table: dict[str, Any],
    shared: dict[str, Any],
    networks: dict[str, dict[str, Any]],
    measures: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """A model with all that its file says of it elsewhere."""
    model = {**shared, **networks.get(table.get("network", ""), {}), **table}
    if network := model.pop("network", None):
        own, common = table.get("config", {}), networks[network].get("config", {})
        model["config"] = {"sources": model["sources"], **common, **own}
    if "scores" in model:
        model["scores"] = [{**measures.get(score.get("measure"), {}), **score} for score in model["scores"]]
        for score in model["scores"]:
            score.pop("measure", None)
    if file := model.pop("file", None):
        facts = {key: value for key, value in file.items() if key != "at"}
        model["files"] = [{"container": "th", **facts, **_place(at)} for at in file["at"]]
    return model


def _place(at: str) -> dict[str, str]:
    """Where a file is, as a `WeightFile` says it."""
    if not at.startswith(_HUB):
        return {"kind": "url", "url": at}
    owner, name, filename = at.removeprefix(_HUB).split("/", 2)
    return {"kind": "hub", "repo": f"{owner}/{name}", "filename": filename}


@functools.cache
def _tables() -> dict[str, dict[str, Any]]:
    """A table per model, by name."""
    return {name: table for tables in _families().values() for name, table in tables.items()}


@functools.cache
def _structured(name: str) -> Checkpoint:
    """One card as a record."""
    # Imported here so that listing names stays instant.
    from unbraid.config import structure
    from unbraid.zoo.checkpoint import Checkpoint

    table = _tables()[name]
    if "weights_of" in table:
        lender = _tables()[table["weights_of"]]
        table = {**{key: lender[key] for key in _OF_WEIGHTS if key in lender}, **table}
    return structure({"name": name, **table}, Checkpoint, where=f"card of {name}")
