"""Package: a checkpoint in memory, and what makes sure that it is the right one."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.errors import UnbraidError, WeightsError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = "unbraid"
FORMAT_VERSION = "1"
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
    listed = [f"{len(names)} {kind}: {few(names)}" for kind, names in faults.items() if names]
    if listed:
        raise WeightsError(f"{name}: the weights do not fit the network: {'; '.join(listed)}")


def free_fields(architecture: str) -> frozenset[str]:
    """Fields of a configuration that change no weight: those of any network, and the architecture's own.

    A network's module says the latter in a constant `FREE_FIELDS`.

    >>> "segment" in free_fields("htdemucs")
    True
    """
    return _FREE | own_free_fields(architecture)


def own_free_fields(architecture: str) -> frozenset[str]:
    """Those of `free_fields` that the architecture adds; there a card's word counts more than a file's."""
    if architecture not in ARCHITECTURES:
        return frozenset()
    module = importlib.import_module(ARCHITECTURES[architecture].partition(":")[0])
    return frozenset(getattr(module, "FREE_FIELDS", ()))


def few(names: list[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
