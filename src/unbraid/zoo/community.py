"""Community checkpoints: weights alone, which a configuration file describes, or else their shapes.

    weights + YAML of Music-Source-Separation-Training    named by their tensors, made from the file
    weights or ONNX + entry or table of UVR               made from the entry; a table's is found by hash
    weights alone                                         named by their tensors, made from their shapes

What a file says and what weights tell must agree. What neither says is assumed, and a warning says what.
"""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from unbraid.config import unstructure
from unbraid.errors import ConfigError, UnbraidError, WeightsError
from unbraid.zoo import uvr_models
from unbraid.zoo.containers import opened, package_of
from unbraid.zoo.convert import faults_of, read
from unbraid.zoo.foreign import mdx_net, vr_net
from unbraid.zoo.foreign.config_file import read_config
from unbraid.zoo.foreign.kinds import KINDS, Kind, kinds_of
from unbraid.zoo.foreign.settings import Settings, require_sections, settings_of
from unbraid.zoo.keymaps import mdx_net_onnx
from unbraid.zoo.keymaps import vr_net as vr_names
from unbraid.zoo.keymaps.renames import RENAMES
from unbraid.zoo.onnx_weights import read_onnx
from unbraid.zoo.package import Package, require_fit, skeleton
from unbraid.zoo.state import unwrapped, weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

logger = logging.getLogger(__name__)

_MD5 = re.compile(r"[0-9a-f]{32}")
# Where UVR's table of models has the files that it names.
_BESIDE_TABLE = (".", "mdx_c_configs", "model_data/mdx_c_configs")
_LONGEST = 40  # letters of a value that a sentence shows
# Fields that only training needs; nobody misses a word of them.
_OF_TRAINING = frozenset({"attention_dropout", "dropout", "t_dropout", "rescale", "dconv_init"})


@dataclass(frozen=True, slots=True, eq=False)
class Community:
    """A checkpoint that was made out, and how it is to be run.

    Args:
        package: The checkpoint.
        settings: How it is run.
    """

    package: Package
    settings: Settings


def described(path: Path, config: Path) -> Community:
    """A checkpoint as a configuration file describes it.

    Args:
        path: The checkpoint.
        config: A YAML file of Music-Source-Separation-Training, an entry of UVR's tables, or a whole table.

    Raises:
        ConfigError: If the file cannot be read, has an unknown key, or describes another network.
        WeightsError: If the checkpoint cannot be read, or is of no network that is known.
        UsageError: If the file is not there.
    """
    file = read_config(config)
    try:
        return _described(path, _entry(file, path, config))
    except ConfigError as error:
        raise ConfigError(f"{config.name}: {error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path.name} with {config.name}: {error}") from error


def guessed(path: Path) -> Community:
    """A checkpoint as its weights alone tell; a warning says what is assumed.

    Args:
        path: The checkpoint.

    Raises:
        WeightsError: If the checkpoint cannot be read, is of no network that is known, or does not tell
            enough.
    """
    with faults_of(path):
        found = opened(path, {})
    if isinstance(found, Package):  # the caller has tried that; it says what it is
        return Community(found, Settings())
    tensors = _named(found, path)
    kinds = [kind for kind in _kinds(tensors, path, None) if kind.by_shapes]
    if not kinds:
        raise WeightsError(
            f"{path.name} holds weights whose shapes do not tell enough of their network; give its "
            f"configuration file with --config{_beside(path)}"
        )
    for number, kind in enumerate(kinds, 1):
        weights = _ours(kind, tensors)
        try:
            told = kind.reader.config_from_shapes(_shapes(weights))
            package = package_of(path, kind.architecture, told, weights)
            require_fit(package.tensors, skeleton(kind.architecture, told), path.name)
        except UnbraidError as error:
            if number < len(kinds):
                continue
            raise WeightsError(
                f"{path.name} has the names of a {kind.architecture}, but its shapes alone make none: "
                f"{error}; give its configuration file with --config{_beside(path)}"
            ) from error
        break
    logger.warning("%s", _explained(path, kind, told))
    return Community(package, Settings(rest=_rest(package)))


def _described(path: Path, file: Mapping[str, Any]) -> Community:
    if "vr_model_param" in file:
        return _of_vr(path, vr_net.config_of(file))
    if mdx_net.is_entry(file):
        return _of_mdx(path, file)
    with faults_of(path):
        found = opened(path, {})
    if isinstance(found, Package):
        return _of_itself(path, found, file)
    tensors = _named(found, path)
    (kind,) = _kinds(tensors, path, file)
    weights = _ours(kind, tensors)
    asked, shapes = _checked(kind, file), _shapes(weights)
    told: dict[str, Any] = {}
    with contextlib.suppress(ConfigError, WeightsError):  # the fit will say what is wrong
        told = kind.reader.config_from_shapes(shapes) if kind.by_shapes else {}
    if kind.settle:
        asked = kind.settle(asked, shapes)
    package = package_of(path, kind.architecture, asked, weights)
    _require_agreement(package, told)
    return Community(package, _settings(kind, file, asked))


def _of_itself(path: Path, found: Package, file: Mapping[str, Any]) -> Community:
    """A checkpoint that says which network it is, and a file that must say the same."""
    kind = next((kind for kind in KINDS if kind.architecture == found.architecture), None)
    if kind is None:
        raise ConfigError(
            f"{path.name} is a {found.architecture} and says so itself; no file of this kind describes one"
        )
    asked = _checked(kind, file)
    package = read(path, architecture=kind.architecture, config=asked)
    return Community(package, _settings(kind, file, asked))


def _of_vr(path: Path, config: Mapping[str, Any]) -> Community:
    """A VR network with an entry of UVR's table."""
    package = read(path, architecture=vr_names.ARCHITECTURE, config=config)
    require_fit(package.tensors, skeleton(package.architecture, package.config), package.name)
    return Community(package, Settings())


def _of_mdx(path: Path, entry: Mapping[str, Any]) -> Community:
    """An MDX-Net with an entry of UVR's table."""
    with faults_of(path):
        graph = read_onnx(path)
    target = mdx_net_onnx.configuration(graph)
    said = mdx_net.config_of(entry, target)
    model = uvr_models.UvrModel(said["n_fft"], said["compensate"], tuple(said["sources"]))
    config = uvr_models.configuration_as(model, target)
    package = package_of(path, mdx_net_onnx.ARCHITECTURE, config, mdx_net_onnx.rename(graph))
    require_fit(package.tensors, skeleton(package.architecture, package.config), package.name)
    return Community(package, Settings())


def _entry(file: dict[str, Any], path: Path, config: Path) -> Mapping[str, Any]:
    """What a file says of a checkpoint: itself, or the entry of a table under the checkpoint's hash."""
    if file and all(_MD5.fullmatch(key) for key in file):
        md5 = uvr_models.tail_md5(path)
        entry = file.get(md5)
        if not isinstance(entry, dict):
            raise ConfigError(f"the table knows no file with the hash of {path.name}, {md5}")
        file = entry
    if "config_yaml" not in file:
        return file
    name = PurePosixPath(str(file["config_yaml"]).replace("\\", "/")).name
    places = [config.parent / folder / name for folder in _BESIDE_TABLE]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigError(f"the table says that {path.name} is described by {name}; give that file instead")
    return read_config(found)


def _named(found: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """The weights of a file by their published names."""
    return weights_of(unwrapped(found), path.name)


def _kinds(tensors: Mapping[str, Tensor], path: Path, file: Mapping[str, Any] | None) -> tuple[Kind, ...]:
    try:
        return kinds_of(tensors, file)
    except WeightsError as error:
        raise WeightsError(f"{path.name} holds weights that do not say what they are: {error}") from error


def _ours(kind: Kind, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names."""
    return RENAMES.get(kind.architecture, dict)(tensors)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _checked(kind: Kind, file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a file describes, all of whose keys are known."""
    if kind.called:  # the others' files are of other programs
        require_sections(file)
    return kind.reader.config_of(file)


def _settings(kind: Kind, file: Mapping[str, Any], config: Mapping[str, Any]) -> Settings:
    """How a file says that its network is run."""
    if not kind.called:
        return Settings()
    spec: Any = skeleton(kind.architecture, config).spec
    return settings_of(file, spec.segment, len(spec.sources), flat="htdemucs" in kind.called)


def _require_agreement(package: Package, told: Mapping[str, Any]) -> None:
    """Make sure that weights fit the network that a file describes; where not, say in what they differ.

    Raises:
        ConfigError: If they don't, and their shapes tell why.
        WeightsError: If they don't, and nobody knows why.
    """
    try:
        require_fit(package.tensors, skeleton(package.architecture, package.config), package.name)
    except WeightsError as error:
        said = _whole(package.architecture, package.config)
        meant = _whole(package.architecture, told) if told else {}
        wrong = [
            f"{key} is {_short(said[key])} by the file, but {_short(meant[key])} by the weights"
            for key in told
            if key in said and key in meant and key != "sources" and said[key] != meant[key]
        ]
        stems = [len(facts.get("sources", ())) for facts in (said, meant)]
        if all(stems) and stems[0] != stems[1]:
            wrong.append(f"it has {stems[0]} sources by the file, but {stems[1]} by the weights")
        if not wrong:
            raise
        raise ConfigError(
            f"it describes another {package.architecture} than {package.source} holds: {'; '.join(wrong)}"
        ) from error


def _whole(architecture: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All of a configuration as plain values; empty where it makes no network."""
    with contextlib.suppress(WeightsError):
        return unstructure(skeleton(architecture, facts).config)
    return {}


def _short(value: object) -> str:
    """A value in few letters."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _beside(path: Path) -> str:
    """The configuration file that lies beside a checkpoint by its name, as the end of a sentence."""
    stem = path.stem
    names = (f"{stem}.yaml", f"{path.name}.yaml", f"config_{stem}.yaml", f"{stem}_config.yaml", f"{stem}.yml")
    there = next((name for name in names if (path.parent / name).is_file()), None)
    return f"; {there} lies beside it: --config {path.parent / there}" if there else ""


def _rest(package: Package) -> str | None:
    """What the mixture less the only source is called; None where there are several."""
    spec: Any = skeleton(package.architecture, package.config).spec
    return f"no_{spec.sources[0]}" if len(spec.sources) == 1 else None


def _explained(path: Path, kind: Kind, told: Mapping[str, Any]) -> str:
    """What a guess is built on, in one line."""
    network: Any = skeleton(kind.architecture, told)
    whole = unstructure(network.config)
    tell = [f"{key} {_short(whole[key])}" for key in told if key in whole and key != "sources"]
    assumed = [
        f"{key} {_short(value)}"
        for key, value in whole.items()
        if key not in told and key != "sources" and key not in _OF_TRAINING
    ]
    return (
        f"{path.name} does not say what it is: by the names of its weights a {kind.architecture}; by their "
        f"shapes {', '.join(tell)}; assumed, for no shape tells: {', '.join(assumed)}, names of sources; "
        f"where that is wrong, its stems are noise; its configuration file, given with --config, would "
        f"tell{_beside(path)}"
    )
