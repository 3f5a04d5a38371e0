"""Networks whose layers are run as a graph, by a runtime other than PyTorch's own.

Whatever stands around the layers – spectra, levels, filters – stays in PyTorch, so runtimes need no complex
numbers. Graphs are made for the one length that most segments have. What is shorter, at the end of a track
or because the track is, runs in PyTorch as it is, unless the layers look at pieces of one size and never see
the difference. A graph takes one segment at a time.

    segment ─ around ─┬─ inner ─┬─ around ─ estimates
                      └─ graph ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from unbraid.engine.backends.base import is_out_of_memory, out_of_memory, require_finite
from unbraid.errors import UsageError
from unbraid.split import Branched, Split, trusted

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.engine.runtime import Runtime
    from unbraid.spec import ModelSpec
    from unbraid.split import Inner


class Layers(nn.Module):
    """A network's layers as a module of their own, to be traced.

    Args:
        network: Whose.
        choice: Keywords that choose between its layers.
    """

    def __init__(self, network: nn.Module, choice: dict[str, int]) -> None:
        super().__init__()
        self.network, self.choice = network, choice

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """The layers' answer; of a network that is not split, its estimates."""
        if isinstance(self.network, Split):
            return self.network.inner(*features, **self.choice)
        return (self.network(*features),)

    def branches(self) -> list[Layers]:
        """Layers that together are these, and know nothing of each other."""
        if not isinstance(self.network, Branched):
            return [self]
        return [
            Layers(self.network, {**self.choice, "branch": branch}) for branch in range(self.network.branches)
        ]


class Maker(Protocol):
    """Makes graphs."""

    title: str

    def make(self, layers: Layers, example: tuple[Tensor, ...], name: str) -> Inner:
        """A graph of the layers for features of the example's shapes.

        Args:
            layers: In evaluation mode.
            example: Features.
            name: Of the layers and the shapes; equal names mean equal graphs of the same network.
        """

    def close(self) -> None:
        """Let go of what graphs share."""


class GraphBackend:
    """Runs a network's layers as graphs.

    Args:
        network: From `(B, C, T)` to `(B, S, C, T)`, in evaluation mode, on the CPU.
        spec: What the network says of itself.
        runtime: Threads.
        maker: Makes the graphs.
        length: Samples of the segments that graphs are made for.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, runtime: Runtime, maker: Maker, *, length: int
    ) -> None:
        self.spec = spec
        self._network: nn.Module | None = network
        self._runtime, self._maker, self._length = runtime, maker, length
        self._graphs: dict[str, Inner] = {}
        self._usual: str | None = None  # shapes of the first features of a whole segment

    def run(self, batch: Tensor, /) -> Tensor:
        """Estimates of a batch of segments, one by one.

        Args:
            batch: `(B, C, T)` in float32.

        Returns:
            `(B, S, C, T)` in float32.

        Raises:
            MachineError: If memory runs out, or the runtime cannot run the layers.
            ModelError: If the network gives NaN or infinity.
            UsageError: If the backend is closed.
        """
        network = self._network
        if network is None:
            raise UsageError("this backend is closed")
        try:
            with torch.inference_mode(), self._runtime.torch_threads():
                estimates = torch.cat([self._estimates(network, row[None]) for row in batch])
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise out_of_memory(batch, self._maker.title) from error
            raise
        return require_finite(estimates.float(), self._maker.title)

    def _estimates(self, network: nn.Module, segment: Tensor) -> Tensor:
        whole = segment.shape[-1] == self._length
        if not isinstance(network, Split):
            estimates: Tensor = self._graph(segment)[0] if whole else network(segment)
            return estimates
        if self._usual is None and not whole:
            self._usual = self._first_shapes(network, segment)
        layers = network

        def inner(*features: Tensor, **choice: int) -> tuple[Tensor, ...]:
            self._usual = self._usual or _shapes(features)
            # Not whether such a graph is there: that would hang on what was separated before.
            as_usual = whole or _shapes(features) == self._usual
            return self._graph(*features, **choice) if as_usual else layers.inner(*features, **choice)

        return trusted(layers, inner, segment)

    def _first_shapes(self, network: Split, like: Tensor) -> str:
        """Shapes of what the layers are given first of a whole segment; they are not run for it."""
        noise = torch.rand(*like.shape[:-1], self._length, generator=torch.Generator().manual_seed(0))

        def stop(*features: Tensor, **_: int) -> tuple[Tensor, ...]:
            raise _Seen(_shapes(features))

        try:
            network.around(stop, noise - 0.5)
        except _Seen as seen:
            return seen.shapes
        return ""

    def _graph(self, *features: Tensor, **choice: int) -> tuple[Tensor, ...]:
        name = "_".join([*(f"{key}{value}" for key, value in sorted(choice.items())), _shapes(features)])
        given = tuple(feature.contiguous() for feature in features)
        if name not in self._graphs:
            assert self._network is not None  # noqa: S101 - `run` has looked
            # Made outside inference mode, whose tensors tracers do not take.
            with torch.inference_mode(mode=False), torch.no_grad():
                layers = Layers(self._network, choice).eval()
                example = tuple(feature.clone() for feature in given)
                self._graphs[name] = self._maker.make(layers, example, name)
        return self._graphs[name](*given)

    def close(self) -> None:
        """Let go of the network and its graphs."""
        self._network = None
        self._graphs.clear()
        self._maker.close()


class _Seen(Exception):  # noqa: N818 - it is no error
    """Carries shapes out of a network whose layers need not run for them."""

    def __init__(self, shapes: str) -> None:
        super().__init__(shapes)
        self.shapes = shapes


def _shapes(features: tuple[Tensor, ...]) -> str:
    return "_".join("x".join(map(str, feature.shape)) for feature in features)
