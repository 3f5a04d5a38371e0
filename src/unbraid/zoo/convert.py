"""Any readable checkpoint becomes a package in memory, and a package becomes a file that explains itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from unbraid.config import unstructure
from unbraid.errors import WeightsError
from unbraid.zoo.cache import SCRATCH
from unbraid.zoo.containers import opened, package_of, renamed
from unbraid.zoo.keymaps.renames import RENAMES
from unbraid.zoo.package import (
    FORMAT,
    FORMAT_VERSION,
    Package,
    few,
    free_fields,
    require_fit,
    skeleton,
)
from unbraid.zoo.state import unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

# What reading a header that lies can end in.
_MALFORMED = (SafetensorError, LookupError, ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError)


def read(
    path: Path,
    *,
    architecture: str | None = None,
    config: Mapping[str, object] | None = None,
    untold: Mapping[str, object] | None = None,
) -> Package:
    """A checkpoint from a file of any known kind.

    Architecture and configuration say which network the weights belong to, where the file does not. Where it
    does, both must mean the same network; of names of sources, of the segment and of what matters in training
    alone, what is given here holds.

    Args:
        path: The file.
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration; None: the file's own, or the architecture's default.
        untold: What holds where a file names its network and leaves fields of the configuration open, as
            those of VR networks do; None: `config`.

    Returns:
        Its package. Whether its weights fit the network that it describes, `require_fit` says. The weights
        of a safetensors file stay on disk until they are used.

    Raises:
        WeightsError: If the file is damaged, of no known kind, of another network than was asked for, or of
            one that neither it nor the caller tells.
        MachineError: If there is no room to unpack it.
    """
    with faults_of(path):
        found = opened(path, untold or config or {})
        if isinstance(found, Package):
            return _agreed(found, architecture, config)
        if architecture is None:
            raise WeightsError(
                f"{path.name} does not say which network its weights belong to: it holds "
                f"{few(sorted(found))}; a model's card tells that, or an architecture with its configuration"
            )
        return package_of(path, architecture, config or {}, _bare(path, found, architecture, config or {}))


def read_parts(paths: Mapping[str, Path], *, architecture: str, config: Mapping[str, object]) -> Package:
    """A checkpoint from several files, each of which holds a part of the network.

    Args:
        paths: By what the network's names of a file's tensors begin with, as "targets.0".
        architecture: A name in `networks.ARCHITECTURES`.
        config: The network's configuration.

    Raises:
        WeightsError: If a file is damaged, of no known kind, or of another architecture.
        MachineError: If there is no room to unpack one.
    """
    tensors: dict[str, Tensor] = {}
    for part, path in paths.items():
        with faults_of(path):
            held = _part(path, part, architecture, config)
            tensors |= {f"{part}.{name}": tensor for name, tensor in held.items()}
    return package_of(next(iter(paths.values())), architecture, config, tensors)


def _part(path: Path, part: str, architecture: str, config: Mapping[str, object]) -> Mapping[str, Tensor]:
    """The tensors of a file that is a part of a network, by their names in the part."""
    found = opened(path, config)
    if not isinstance(found, Package):
        return _bare(path, found, architecture, config)
    if found.architecture != architecture:
        raise WeightsError(f"{path.name} was to be a part of a {architecture}, but is a {found.architecture}")
    first = re.sub(r"\d+$", "0", part) + "."  # a file that is a network of one part calls it the first
    whole = all(name.startswith(first) for name in found.tensors)
    return {name.removeprefix(first) if whole else name: value for name, value in found.tensors.items()}


def _bare(
    path: Path, found: Mapping[str, object], architecture: str, config: Mapping[str, object]
) -> Mapping[str, Tensor]:
    """Weights by our names that come without a description."""
    return renamed(path, architecture, config, unwrapped(found), RENAMES.get(architecture, dict))


@contextlib.contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Turn what reading a file that lies can end in into one sentence."""
    try:
        yield
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
        if said[key] != value and key not in free_fields(package.architecture)
    ]
    if len(said["sources"]) != len(asked["sources"]):
        wrong.append(f"it has the sources {', '.join(said['sources'])}, not {', '.join(asked['sources'])}")
    if wrong:
        raise WeightsError(f"{package.name} is another {package.architecture}: {'; '.join(wrong)}")
    return dataclasses.replace(package, config=config)
