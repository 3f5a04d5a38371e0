"""From a model's name, or a checkpoint's path, to a network that is ready to separate."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unbraid.config import unstructure
from unbraid.engine.plan import Window
from unbraid.errors import UnknownModelError, UsageError, WeightsError
from unbraid.networks.rest import WithRest
from unbraid.zoo import cache, catalog
from unbraid.zoo.chains import chain_for
from unbraid.zoo.community import Community, described, guessed
from unbraid.zoo.convert import read
from unbraid.zoo.download import fetch, published
from unbraid.zoo.ensembles import ensemble_for
from unbraid.zoo.folder import SUFFIXES, beside, sha256_of, unpacked
from unbraid.zoo.package import Package, fingerprint, own_free_fields, require_fit, skeleton

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from torch import Tensor, nn

    from unbraid.progress import Listener
    from unbraid.zoo.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

# The engine's own, for checkpoints that no card knows.
_OVERLAP, _SHIFTS = 0.25, 1


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """A model that was found: which it is, where it lies, and its weights, not yet a network.

    Args:
        name: Of the model.
        path: Of the file that its weights come from; None: it needs none.
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration, as plain values.
        fingerprint: Of the weights, computed from the values that were read.
        tensors: The weights in the precision they were published in.
        card: What the zoo knows of them; None for weights of the user's own.
        overlap: Of segments, as the model was scored.
        shifts: Passes over displaced segments, as the model was scored.
        window: How a segment's samples count where segments overlap.
        levelled: Whether the whole track's level is taken off first; None: as the network says of itself.
        rest: Name of what a network of one source leaves of the mixture; None: it is not asked for.
        said: How it is run, in sentences for a person; empty where the card says it.
    """

    name: str
    path: Path | None
    architecture: str
    config: Mapping[str, object]
    fingerprint: str
    tensors: Mapping[str, Tensor]
    card: Checkpoint | None
    overlap: float
    shifts: int
    window: Window = Window.TRIANGLE
    levelled: bool | None = None
    rest: str | None = None
    said: tuple[str, ...] = ()


def load(
    name_or_path: str | Path,
    *,
    config: str | Path | None = None,
    offline: bool = False,
    folder: Path | None = None,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> nn.Module:
    """A network that is ready to separate, in float32 and in evaluation mode.

    Args:
        name_or_path: A model's name, or the path of a checkpoint: a file of Unbraid's own, a Demucs package
            (`.th`, `.th.gz`, `.pt` or `.safetensors`), another file that says what it is (see
            `zoo.containers`), such as a TensorFlow checkpoint (`.index`) or an ONNX file, the folder that
            Open-Unmix' training leaves, or a file that a card knows. Of a card's files in parts, any one
            stands for all that lie beside it. Of weights that do not say what they are, and that no card
            knows, names and shapes tell the network; a warning says what is assumed.
        config: The file that describes a checkpoint, if it does not do so itself: a YAML file of
            Music-Source-Separation-Training, or an entry or the whole of UVR's tables. None: none; no file is
            used because it lies beside the checkpoint.
        offline: Never open a connection.
        folder: Where weight files may lie already, whatever kind they are; looked at first.
        listener: Told how far fetching is.
        cancel: Stops the fetching.

    Returns:
        A `Network` on the CPU.

    Raises:
        UnknownModelError: If no model has this name and no file this path.
        WeightsError: If the weights are damaged, or not those of their card or network.
        DownloadError: If the weights are not on disk and could not be fetched.
        ConfigError: If the configuration file has an unknown key, or describes another network.
        UsageError: If a configuration file is given for what needs none.
    """
    found = resolve(
        name_or_path, config=config, offline=offline, folder=folder, listener=listener, cancel=cancel
    )
    return network(found)


def resolve(
    name_or_path: str | Path,
    *,
    config: str | Path | None = None,
    offline: bool = False,
    folder: Path | None = None,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Resolved:
    """Find a model, fetch its weights if need be, and verify every value of them.

    Args:
        name_or_path: As for `load`.
        config: As for `load`.
        offline: As for `load`.
        folder: As for `load`.
        listener: As for `load`.
        cancel: As for `load`.

    Raises:
        UnknownModelError: If no model has this name and no file this path.
        WeightsError: If the weights are damaged, or not those of their card or network.
        DownloadError: If the weights are not on disk and could not be fetched.
        ConfigError: If the configuration file has an unknown key, or describes another network.
        UsageError: If a configuration file is given for what needs none.
    """
    card = card_for(name_or_path)
    if card is None:
        path = Path(name_or_path)
        return _resolve_path(path) if config is None else _of_community(described(path, Path(config)), path)
    if config is not None:
        raise UsageError(f"{card.name} is a model that needs no configuration file; --config is for a path")
    if not card.has_weights:
        return _resolved(Package(card.name, card.architecture, card.config, {}, fingerprint({})), None, card)
    place = fetch(card, folder=folder, offline=offline, listener=listener, cancel=cancel)
    try:
        package = cache.sound(place, card)
    except WeightsError:
        if offline or folder is not None:
            raise
        logger.warning("%s in the cache is damaged and is fetched again", card.name)
        place.unlink()
        place = fetch(card, listener=listener, cancel=cancel)
        package = cache.sound(place, card)
    return _resolved(package, place, card)


def card_for(name_or_path: str | Path) -> Checkpoint | None:
    """What is known of a model before its weights are read: its card; None for a file of the user's own.

    Raises:
        UnknownModelError: If no model has this name and no file this path.
        UsageError: If it is an ensemble or a chain, which is no single network.

    >>> card_for("htdemucs").sources
    ('drums', 'bass', 'other', 'vocals')
    """
    chain = chain_for(name_or_path)
    if chain is not None:
        raise UsageError(
            f"{chain.name} is a chain, not one network; its models are {', '.join(chain.models())}"
        )
    ensemble = ensemble_for(name_or_path)
    if ensemble is not None:
        names = ", ".join(member.model for member in ensemble.members)
        raise UsageError(f"{ensemble.name} is an ensemble, not one network; its members are {names}")
    if not _is_path(name_or_path):
        return catalog.card(str(name_or_path))
    if not _is_there(Path(name_or_path)):
        raise UnknownModelError(
            f"no checkpoint is at {name_or_path}; a name such as htdemucs has neither folder nor suffix"
        )
    return None


def network(resolved: Resolved) -> nn.Module:
    """The network of a model that was found, with its weights, in float32 and in evaluation mode.

    Raises:
        WeightsError: If the weights are not those of the network.
    """
    # Weights replace the skeleton's: none are made only to be thrown away, whatever size a file claims.
    built = skeleton(resolved.architecture, resolved.config)
    require_fit(resolved.tensors, built, resolved.name)
    weights = {
        name: tensor.to(
            torch.float32 if tensor.is_floating_point() else tensor.dtype,
            copy=True,
            memory_format=torch.contiguous_format,
        )
        for name, tensor in resolved.tensors.items()
    }
    built.load_state_dict(weights, assign=True)
    if resolved.levelled is not None:
        spec: Any = built.spec
        built.spec = dataclasses.replace(spec, levelled=resolved.levelled)
    return (WithRest(built, resolved.rest) if resolved.rest else built).eval()


def _is_path(name_or_path: str | Path) -> bool:
    """Whether a file is meant; a model's name wins over a file of that name in the current folder."""
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or {"/", "\\"} & set(name_or_path) or path.suffix in SUFFIXES:
        return True
    return name_or_path not in catalog.list_models() and _is_there(path)


def _is_there(path: Path) -> bool:
    """As `Path.exists`, which raises for a name too long and in a folder that may not be entered."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def _resolve_path(path: Path) -> Resolved:
    """A checkpoint of the user's own, or one of the zoo's under whatever name it was saved."""
    try:
        package = read(path)
    except WeightsError:  # it may not say what it is, and a card may know
        if not path.is_file():
            raise
        sha256 = sha256_of(path)
        card = catalog.card_of_file(sha256, path.name)
        if card is None:
            return _of_community(guessed(path), path)
        with tempfile.TemporaryDirectory() as scratch:
            held = unpacked(beside(card, path, sha256), Path(scratch))
            return _resolved(published(held, card), path, card)
    return _resolved(package, path, _card_of(package, path))


def _of_community(found: Community, path: Path) -> Resolved:
    """A checkpoint that a configuration file describes, or its weights alone."""
    package, settings = found.package, found.settings
    for sentence in settings.said:
        logger.info("%s: %s", package.name, sentence)
    return Resolved(
        name=package.name,
        path=path,
        architecture=package.architecture,
        config=package.config,
        fingerprint=package.fingerprint,
        tensors=package.tensors,
        card=None,
        overlap=settings.overlap,
        shifts=_SHIFTS,
        window=settings.window,
        levelled=settings.levelled,
        rest=settings.rest,
        said=settings.said,
    )


def _card_of(package: Package, path: Path) -> Checkpoint | None:
    """The card of weights that say what they are: by fingerprint, by the zoo's note, by the file's hash."""
    return (
        catalog.card_of(package.fingerprint)
        or _card_in_note(package)
        or (catalog.card_of_file(sha256_of(path), path.name, whole=True) if path.is_file() else None)
    )


def _card_in_note(package: Package) -> Checkpoint | None:
    """The card that the zoo noted in a file it wrote; only such a file tells a licence."""
    if package.name not in catalog.list_models():
        return None
    named = catalog.card(package.name)
    noted = package.licence == named.licence and package.config.get("sources") == list(named.sources)
    return named if noted and named.fingerprint is None else None


def _resolved(package: Package, path: Path | None, card: Checkpoint | None) -> Resolved:
    return Resolved(
        name=card.name if card else package.name,
        path=path,
        architecture=package.architecture,
        config={**package.config, **_of_choice(card)} if card else package.config,
        fingerprint=package.fingerprint,
        tensors=package.tensors,
        card=card,
        overlap=card.overlap if card else _OVERLAP,
        shifts=card.shifts if card else _SHIFTS,
        window=Window(card.window) if card else Window.TRIANGLE,
        rest=card.rest if card else None,
    )


def _of_choice(card: Checkpoint) -> dict[str, object]:
    """Where a card wins over a file: sources' names, the segment, and what its architecture calls free."""
    segment = {key: value for key, value in card.config.items() if key == "segment"}
    free = own_free_fields(card.architecture)
    meant = unstructure(skeleton(card.architecture, card.config).config) if free else {}
    return {"sources": card.sources, **segment, **{key: meant[key] for key in free}}
