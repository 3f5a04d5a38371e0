"""Networks whose layers are run as a graph, by a runtime other than PyTorch's own.

Whatever stands around the layers – spectra, levels, filters – stays in PyTorch, so runtimes need no complex
numbers. Graphs are made for the one length that most segments have. What is shorter, at the end of a track
or because the track is, runs in PyTorch as it is, unless the layers look at pieces of one size and never see
the difference. A graph takes one segment at a time.

    segment ─ around ─┬─ inner ─┬─ around ─ estimates
                      └─ graph ─┘
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from unbraid.engine.backends.base import Recall, is_out_of_memory, out_of_memory, require_finite
from unbraid.errors import UsageError
from unbraid.split import Branched, Split, trusted

if TYPE_CHECKING:
    from concurrent.futures import Future

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
        self._recall = Recall()
        self._usual: str | None = None  # shapes of the first features of a whole segment
        self._behind = ThreadPoolExecutor(1, "prepare")
        self._prepared: Future[None] | None = None

    def prepare(self) -> None:
        """Begin to make the graph of the first layers that a whole segment meets, in a thread of its own."""
        if self._prepared is None and self._network is not None:
            self._prepared = self._behind.submit(self._first_graph, self._network)

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
        if self._prepared is not None:
            self._prepared.result()
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
            estimates: Tensor = self._answer((segment,), {})[0] if whole else network(segment)
            return estimates
        if self._usual is None and not whole:
            self._usual = _shapes(self._first_features(network)[0])
        layers = network

        def inner(*features: Tensor, **choice: int) -> tuple[Tensor, ...]:
            if self._usual is None:
                self._usual = _shapes(features)
            # Not whether such a graph is there: that would hang on what was separated before.
            as_usual = whole or _shapes(features) == self._usual
            return self._answer(features, choice) if as_usual else layers.inner(*features, **choice)

        return trusted(layers, self._recall.of(layers, inner), segment)

    def _first_graph(self, network: nn.Module) -> None:
        """Make the graph that a whole segment needs first."""
        if not isinstance(network, Split):
            return
        with torch.inference_mode(), self._runtime.torch_threads():
            features, choice = self._first_features(network)
            if features:
                self._graph(_contiguous(features), choice)

    def _first_features(self, network: Split) -> tuple[tuple[Tensor, ...], dict[str, int]]:
        """What the layers are given first of a whole segment, if anything; they are not run for it."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(1, self.spec.channels, self._length, generator=generator)

        def stop(*features: Tensor, **choice: int) -> tuple[Tensor, ...]:
            raise _Seen(features, choice)

        try:
            trusted(network, stop, noise - 0.5)
        except _Seen as seen:
            return seen.features, seen.choice
        return (), {}

    def _answer(self, features: tuple[Tensor, ...], choice: dict[str, int]) -> tuple[Tensor, ...]:
        """What a graph makes of features in the place of layers."""
        given = _contiguous(features)
        return self._graph(given, choice)(*given)

    def _graph(self, given: tuple[Tensor, ...], choice: dict[str, int]) -> Inner:
        name = "_".join([*(f"{key}{value}" for key, value in sorted(choice.items())), _shapes(given)])
        if name not in self._graphs:
            assert self._network is not None  # noqa: S101 - `run` has looked
            # Made outside inference mode, whose tensors tracers do not take.
            with torch.inference_mode(mode=False), torch.no_grad():
                layers = Layers(self._network, choice).eval()
                example = tuple(feature.clone() for feature in given)
                self._graphs[name] = self._maker.make(layers, example, name)
        return self._graphs[name]

    def close(self) -> None:
        """Let go of the network and its graphs."""
        self._behind.shutdown(cancel_futures=True)
        self._network = None
        self._recall = Recall()
        self._graphs.clear()
        self._maker.close()


class _Seen(Exception):  # noqa: N818 - it is no error
    """Carries features out of a network whose layers need not run for them."""

    def __init__(self, features: tuple[Tensor, ...], choice: dict[str, int]) -> None:
        super().__init__(_shapes(features))
        self.features, self.choice = features, choice


def _contiguous(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(feature.contiguous() for feature in features)


def _shapes(features: tuple[Tensor, ...]) -> str:
    return "_".join("x".join(map(str, feature.shape)) for feature in features)
