"""PyTorch's compiler: layers as loops fused for this machine, which takes a minute or more to begin with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from unbraid.engine.runtime import Precision
from unbraid.errors import MachineError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.engine.backends.graphs import Layers
    from unbraid.split import Inner


def missing() -> str:
    """Why layers cannot be compiled here; empty if they can."""
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        return "there is no C++ compiler, which PyTorch's compiler needs"
    return ""


class CompiledMaker:
    """Compiles layers; PyTorch keeps what it made for the next time in a folder of its own.

    Args:
        precision: "exact", or "bfloat16" for products in it.

    Raises:
        MachineError: If there is no C++ compiler.
        UsageError: If layers are to run in another precision.
    """

    title = "PyTorch's compiler"

    def __init__(self, precision: Precision) -> None:
        if missing():
            raise MachineError(f"{missing()}; install one, or use --backend eager")
        if precision not in (Precision.EXACT, Precision.BFLOAT16):
            raise UsageError(f"compiled layers run in exact or bfloat16 here, not in {precision.value}")
        self._half = precision is Precision.BFLOAT16

    def make(self, layers: Layers, example: tuple[Tensor, ...], name: str) -> Inner:  # noqa: ARG002
        """Compiled layers for features of the example's shapes.

        Args:
            layers: In evaluation mode.
            example: Features.
            name: Not needed: PyTorch finds what it compiled by the code itself.
        """
        compiled = torch.compile(layers, dynamic=False)

        def run(*features: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
                return tuple(value.float() for value in compiled(*features))

        return run

    def close(self) -> None:
        """Nothing is shared."""
