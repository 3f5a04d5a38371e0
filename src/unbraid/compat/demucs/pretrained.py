"""`demucs.pretrained`: models by name, by signature, or from a folder of one's own.

Differs  nothing in a file is executed; there are no `hf://` names; a name that is unknown is an error with
         the nearest ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.compat.demucs import repo as folders
from unbraid.compat.demucs.models import BagOfModels, named, spec_of
from unbraid.errors import ModelError as ModelLoadingError
from unbraid.errors import UsageError
from unbraid.zoo import catalog
from unbraid.zoo.ensembles import ensemble_for, list_ensembles
from unbraid.zoo.load import load

if TYPE_CHECKING:
    from torch import nn

    from unbraid.zoo.ensembles import EnsembleCard

__all__ = ["DEFAULT_MODEL", "SOURCES", "ModelLoadingError", "get_model", "list_models"]

DEFAULT_MODEL = "htdemucs"
SOURCES = ["drums", "bass", "other", "vocals"]


def get_model(name: str | Path, repo: Path | None = None) -> nn.Module:
    """A model that is ready for `apply_model`, in evaluation mode.

    Args:
        name: Of a model, which gives a `BagOfModels`, be it of one; or a signature such as 955717e8, or the
            path of a checkpoint, which give the network itself.
        repo: A folder that is looked into first: for `name.yaml`, a bag as demucs writes it; for a
            checkpoint `name.th` or `name-checksum.th`; and for the files of published models.

    Returns:
        A module with `sources`, `samplerate` (Hz), `audio_channels` and `segment` (s).

    Raises:
        UnknownModelError: If there is no such model.
        WeightsError: If its weights are damaged, or those of another network.
        DownloadError: If its weights are not on this machine and could not be fetched.
        UsageError: If `repo` is no folder.
    """
    if repo is not None:
        own = _from_folder(str(name), Path(repo))
        if own is not None:
            return own
    ensemble = ensemble_for(name)
    if ensemble is not None:
        return _ensemble(ensemble, repo)
    network = named(load(name, folder=repo))
    return BagOfModels([network]).eval() if str(name) in _bags_of_one() else network


def list_models(repo: Path | None = None) -> dict[str, dict[str, str | Path]]:
    """The models there are.

    Args:
        repo: List this folder instead of what is published.

    Returns:
        Under "single" what `get_model` gives as a network and under "bag" what it gives as a bag, each with
        where it comes from.

    Raises:
        UsageError: If `repo` is no folder.

    >>> "htdemucs" in list_models()["bag"]
    True
    """
    if repo is not None:
        return {"single": {**folders.checkpoints(repo)}, "bag": {**folders.bags(repo)}}
    places = {
        card.name: card.files[0].label if card.has_weights else "needs no weights" for card in catalog.cards()
    }
    singles = {alias: places[card.name] for card in catalog.cards() for alias in card.aliases}
    bags = {name: places[name] for name in _bags_of_one()}
    return {"single": {**singles}, "bag": {**bags, **dict.fromkeys(_bags_of_many(), "several models")}}


def _bags_of_one() -> tuple[str, ...]:
    """Published models that are whole by themselves."""
    return tuple(card.name for card in catalog.cards() if not card.member)


def _bags_of_many() -> list[str]:
    """Published ensembles that a bag can be: of models with the same sources in the same order."""
    members = {name: ensemble.members for name in list_ensembles() if (ensemble := ensemble_for(name))}
    return [
        name for name, each in members.items() if len({catalog.card(one.model).sources for one in each}) == 1
    ]


def _ensemble(ensemble: EnsembleCard, folder: Path | None) -> BagOfModels:
    """An ensemble of this library as a bag."""
    if ensemble.rule != "mean":
        raise UsageError(
            f"{ensemble.name} takes the {ensemble.rule} of its models, and a bag their mean; "
            "unbraid.Separator takes either"
        )
    models = [named(load(member.model, folder=folder)) for member in ensemble.members]
    sources = spec_of(models[0]).sources
    weights = [[member.counts.get(source, 0.0) for source in sources] for member in ensemble.members]
    return BagOfModels(models, weights).eval()


def _from_folder(name: str, folder: Path) -> nn.Module | None:
    """A model of the folder's own; None if it has none of this name."""
    known, bags = folders.checkpoints(folder), folders.bags(folder)
    if name in known:
        return _checked(known[name])
    if name not in bags:
        return None
    bag = folders.read_bag(bags[name], known)
    models = [_checked(known[signature]) for signature in bag.models]
    return BagOfModels(models, bag.weights, bag.segment).eval()


def _checked(path: Path) -> nn.Module:
    folders.require_checksum(path)
    return named(load(path))
