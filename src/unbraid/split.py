"""Split: a network's layers, apart from what stands around them.

A network may be split in two, so that its layers can run elsewhere than in PyTorch, or in another precision:

    def forward(self, mixture):                # (B, C, T) → (B, S, C, T)
        return self.around(self.inner, mixture)

`inner` holds the layers. `around` has all the rest – spectra, levels, masks, filters – and calls what it is
given as `inner`, once or several times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# Real tensors in, real tensors out, their shapes decided by those of the arguments alone; keywords are plain
# numbers that choose between layers.
Inner: TypeAlias = "Callable[..., tuple[Tensor, ...]]"


@runtime_checkable
class Split(Protocol):
    """A network whose layers can be run by something else."""

    @property
    def inner(self) -> Inner:
        """The layers."""

    def around(self, inner: Inner, mixture: Tensor, /) -> Tensor:
        """Estimates `(B, S, C, T)` of a mixture `(B, C, T)`, with the layers run by `inner`."""


@runtime_checkable
class Sparing(Split, Protocol):
    """A network that has less to do where its context is not looked at."""

    def spared(self, inner: Inner, mixture: Tensor, /) -> Tensor:
        """As `around`, but the first and the last `spec.context` samples may be anything."""


@runtime_checkable
class Branched(Split, Protocol):
    """A network whose layers are branches that know nothing of each other, and may run at the same time.

    `inner(..., branch=i)` gives what branch i makes of the features, `inner(...)` what all of them do, one
    behind the other.
    """

    @property
    def branches(self) -> int:
        """How many there are."""


def trusted(network: Split, inner: Inner, mixture: Tensor) -> Tensor:
    """Estimates whose first and last `spec.context` samples nobody will look at."""
    return network.spared(inner, mixture) if isinstance(network, Sparing) else network.around(inner, mixture)


def as_graph() -> bool:
    """Whether layers are being made into a graph, whose runtime has ways of its own to save memory."""
    return bool(torch._C._get_tracing_state()) or torch.compiler.is_compiling()  # noqa: SLF001 - torch.jit's
