"""From what a caller wishes for to the backend that runs a network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.engine.backends import compiled, onnx, openvino
from unbraid.engine.backends.compiled import CompiledMaker
from unbraid.engine.backends.eager import EagerBackend, has_half_units
from unbraid.engine.backends.graphs import GraphBackend
from unbraid.engine.backends.onnx import OnnxMaker
from unbraid.engine.backends.openvino import OpenVinoMaker
from unbraid.engine.backends.pages import KeptPages
from unbraid.engine.runtime import Engine, Precision, Runtime
from unbraid.errors import UsageError
from unbraid.split import Split

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.backends.graphs import Maker
    from unbraid.spec import ModelSpec


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network that is ready to run.

    Args:
        network: From `(B, C, T)` to `(B, S, C, T)`, in evaluation mode.
        spec: What it says of itself.
        length: Samples of the segments it will mostly be given.
        folder: Where its graphs are kept for the next time; None: nowhere.
    """

    network: nn.Module
    spec: ModelSpec
    length: int
    folder: Path | None = None


def backend(loaded: Loaded, runtime: Runtime) -> Backend:
    """What runs a network as a runtime says, in which nothing is left open.

    Args:
        loaded: The network; it is the backend's from now on.
        runtime: Neither its engine nor its precision may be "auto".

    Raises:
        MachineError: If this machine lacks what the engine needs.
        UsageError: If the engine does not go with the network, the device or the precision.
    """
    if runtime.engine is Engine.EAGER:
        return EagerBackend(loaded.network, loaded.spec, runtime)
    if not isinstance(loaded.network, Split):
        raise UsageError(
            f"a {type(loaded.network).__name__} has no layers that {runtime.engine.value} could run apart "
            "from the rest; use --backend eager"
        )
    return _WithPages(_graphs(loaded, runtime), runtime)


def _graphs(loaded: Loaded, runtime: Runtime) -> GraphBackend:
    maker = _maker(runtime, loaded.folder)
    return GraphBackend(loaded.network, loaded.spec, runtime, maker, length=loaded.length)


def _maker(runtime: Runtime, folder: Path | None) -> Maker:
    device = runtime.torch_device().type
    if runtime.engine is Engine.ONNX:
        return OnnxMaker(runtime.precision, runtime.threads, folder, device)
    if device != "cpu":
        raise UsageError(f"{runtime.engine.value} runs on the cpu here, not on {device}; use --backend eager")
    if runtime.engine is Engine.OPENVINO:
        return OpenVinoMaker(runtime.precision, runtime.threads, folder)
    return CompiledMaker(runtime.precision)


class _WithPages:
    """A backend of graphs, for whose time the process keeps its pages."""

    def __init__(self, graphs: GraphBackend, runtime: Runtime) -> None:
        self.spec = graphs.spec
        self._graphs = graphs
        self._pages = KeptPages() if runtime.keep_pages else None

    def prepare(self) -> None:
        """As the graphs do."""
        self._graphs.prepare()

    def run(self, batch: Tensor, /) -> Tensor:
        """As the graphs do."""
        return self._graphs.run(batch)

    def close(self) -> None:
        """Let go of both."""
        self._graphs.close()
        if self._pages:
            self._pages.close()


def candidates(loaded: Loaded, runtime: Runtime) -> tuple[list[Runtime], dict[str, str]]:
    """What could run a network as a runtime says, with nothing left open, and why the others cannot.

    Args:
        loaded: The network.
        runtime: What is asked for.

    Returns:
        Runtimes to try, the first being the safest; and reasons by engine.
    """
    passed_over: dict[str, str] = {}
    precisions = _precisions(loaded.spec, runtime)
    engines = [runtime.engine] if runtime.engine is not Engine.AUTO else [Engine.EAGER, Engine.OPENVINO]
    found = []
    for engine in engines:
        why = _why_not(engine, loaded, runtime)
        if why and runtime.engine is Engine.AUTO:
            passed_over[engine.value] = why
            continue
        able = precisions
        if engine is Engine.OPENVINO and not why and runtime.precision is Precision.AUTO:
            able = [precision for precision in precisions if precision in openvino.precisions()]
        elif engine is Engine.EAGER and runtime.precision is Precision.AUTO and not has_half_units(runtime):
            able = [Precision.EXACT]  # half precision without units for it is slower than none
        found += [dataclasses.replace(runtime, engine=engine, precision=precision) for precision in able]
    if runtime.memory_bytes is not None and runtime.keep_pages:
        found += [dataclasses.replace(found[0], keep_pages=False)]  # which takes the least of all
    if runtime.engine is Engine.AUTO:
        passed_over |= {
            Engine.COMPILED.value: compiled.missing() or "takes minutes to compile; ask for it by name",
            Engine.ONNX.value: onnx.missing() or "slower than the others on a processor; ask for it by name",
        }
    return found, passed_over


def _precisions(spec: ModelSpec, runtime: Runtime) -> list[Precision]:
    if runtime.precision is not Precision.AUTO:
        return [runtime.precision]
    return [Precision.EXACT, *([Precision.BFLOAT16] if spec.half else [])]


def _why_not(engine: Engine, loaded: Loaded, runtime: Runtime) -> str:
    """Why an engine is no candidate; empty if it is one."""
    if engine is not Engine.OPENVINO:
        return ""
    if runtime.torch_device().type != "cpu":
        return "it runs on the cpu here"
    if not isinstance(loaded.network, Split):
        return "this method has no layers to run apart"
    return openvino.missing()
