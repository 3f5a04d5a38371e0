"""The Backend protocol: all that the engine asks of whatever runs a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.spec import ModelSpec


class Backend(Protocol):
    """Runs a network on a batch of segments."""

    @property
    def spec(self) -> ModelSpec:
        """What the network says of itself."""

    def run(self, batch: Tensor, /) -> Tensor:
        """`(B, C, T)` → `(B, S, C, T)` on the CPU in float32; rows never depend on each other."""

    def close(self) -> None:
        """Let go of the network and of what the device holds for it."""
