"""The Backend protocol: all that the engine asks of whatever runs a network."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from unbraid._version import __version__
from unbraid.errors import MachineError, ModelError
from unbraid.split import Sparing

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.spec import ModelSpec
    from unbraid.split import Inner, Split


class Backend(Protocol):
    """Runs a network on a batch of segments."""

    @property
    def spec(self) -> ModelSpec:
        """What the network says of itself."""

    def prepare(self) -> None:
        """Begin what the first whole segment would wait for; its failure rises when that is run."""

    def run(self, batch: Tensor, /) -> Tensor:
        """`(B, C, T)` → `(B, S, C, T)` on the CPU in float32; rows never depend on each other."""

    def close(self) -> None:
        """Let go of the network and of what the device holds for it."""


class Recall:
    """Layers that are asked the same twice in a row, and answer the second time from memory.

    Where a network's looks stand on a grid of their own, the last look of a segment is the first of the next.
    """

    def __init__(self) -> None:
        self._asked: tuple[Tensor, ...] = ()
        self._choice: dict[str, int] = {}
        self._answer: tuple[Tensor, ...] = ()

    def of(self, network: Split, inner: Inner) -> Inner:
        """The same layers; of a network that spares its context, with the last answer kept."""
        if not isinstance(network, Sparing):
            return inner

        def recalled(*features: Tensor, **choice: int) -> tuple[Tensor, ...]:
            if not self._is_asked_again(features, choice):
                self._answer = inner(*features, **choice)
                self._asked, self._choice = features, choice
            return self._answer

        return recalled

    def _is_asked_again(self, features: tuple[Tensor, ...], choice: dict[str, int]) -> bool:
        return (
            len(features) == len(self._asked) > 0
            and choice == self._choice
            and all(map(torch.equal, features, self._asked))
        )


def require_finite(estimates: Tensor, where: str) -> Tensor:
    """The estimates, if no value is NaN or infinite.

    Raises:
        ModelError: If one is.
    """
    if not torch.isfinite(estimates).all():
        raise ModelError(
            f"the network gave NaN or infinity for finite audio on {where}; the weights, the device or its "
            "precision are faulty: try --device cpu --backend eager --precision exact, and "
            "`unbraid models verify`"
        )
    return estimates


def out_of_memory(batch: Tensor, where: str) -> MachineError:
    """What is raised when a batch does not fit."""
    return MachineError(
        f"{where} ran out of memory on {batch.shape[0]} segments of {batch.shape[-1]} samples; "
        "a smaller batch needs less, and the device cpu has the machine's own memory"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch's CPU allocator says it in words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def first_line(error: BaseException) -> str:
    """What an error says in its first line; runtimes add pages of their own."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@functools.cache
def made_by() -> str:
    """Changes with the code of the networks: what another made or measured is not taken for its own."""
    networks = Path(__file__).parents[2] / "networks"
    digest = hashlib.sha256()
    for path in sorted(networks.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{__version__} {digest.hexdigest()}"
