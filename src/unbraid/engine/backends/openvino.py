"""OpenVINO: layers as a graph that is fused for this processor, in bfloat16 where it has units for that."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import torch

from unbraid.engine.backends.base import first_line, made_by
from unbraid.engine.runtime import Precision
from unbraid.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from unbraid.engine.backends.graphs import Layers
    from unbraid.split import Inner

_HINTS = {Precision.EXACT: "f32", Precision.BFLOAT16: "bf16", Precision.FLOAT16: "f16"}
_NEEDS = {Precision.EXACT: "FP32", Precision.BFLOAT16: "BF16", Precision.FLOAT16: "FP16"}


def missing() -> str:
    """Why OpenVINO cannot be used here; empty if it can."""
    try:
        _package()
    except MachineError as error:
        return str(error)
    return ""


def precisions() -> tuple[Precision, ...]:
    """In what this processor calculates at full speed."""
    able = _package().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, name in _NEEDS.items() if name in able)


class OpenVinoMaker:
    """Makes OpenVINO graphs.

    Args:
        precision: In which the layers calculate.
        threads: Of the processor; None: all that OpenVINO finds.
        folder: Where compiled graphs are kept for the next time; None: nowhere.

    Raises:
        MachineError: If OpenVINO is not installed.
        UsageError: If this processor does not calculate in the precision.
    """

    title = "OpenVINO"

    def __init__(self, precision: Precision, threads: int | None, folder: Path | None) -> None:
        openvino = _package()
        if precision not in precisions():
            able = ", ".join(precision.value for precision in precisions())
            raise UsageError(
                f"OpenVINO does not run in {precision.value} on this processor; it does in {able}"
            )
        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            **({} if threads is None else {"INFERENCE_NUM_THREADS": threads}),
        }
        self._threads, self._folder = threads or torch.get_num_threads(), folder

    def make(self, layers: Layers, example: tuple[Tensor, ...], name: str) -> Inner:
        """A graph of the layers, from the folder if it was made before.

        Args:
            layers: In evaluation mode.
            example: Features of the shapes that it shall take.
            name: Of layers and shapes.

        Raises:
            MachineError: If OpenVINO cannot run the layers.
        """
        branches = layers.branches()
        beside = min(len(branches), self._threads)
        if beside == 1:
            branches = [layers]
        requests = [
            self._request(branch, example, f"{name} {index}", self._settings_beside(beside))
            for index, branch in enumerate(branches)
        ]

        def run(*features: Tensor) -> tuple[Tensor, ...]:
            given = [feature.numpy() for feature in features]
            return tuple(
                torch.from_numpy(answer)
                for start in range(0, len(requests), beside)
                for answer in _answers(requests[start : start + beside], given)
            )

        return run

    def _settings_beside(self, count: int) -> dict[str, Any]:
        """Of graphs of which so many run at the same time, and share the threads."""
        if count == 1:
            return self._settings
        # Pinned to processors, all would take the same ones.
        return self._settings | {"INFERENCE_NUM_THREADS": self._threads // count, "ENABLE_CPU_PINNING": False}

    def _request(
        self, layers: Layers, example: tuple[Tensor, ...], name: str, settings: Mapping[str, Any]
    ) -> Any:
        """What runs a graph, compiled now or before."""
        kept = self._folder / f"{self._key(name, settings)}.openvino" if self._folder else None
        compiled = self._remembered(kept, settings)
        if compiled is None:
            compiled = self._compiled(layers, example, settings)
            if kept is not None:
                with contextlib.suppress(OSError):  # a full disk costs time the next time, and nothing else
                    _keep(compiled, kept)
        return compiled.create_infer_request()

    def close(self) -> None:
        """Nothing is shared but the library itself."""

    def _key(self, name: str, settings: Mapping[str, Any]) -> str:
        """Changes with whatever a compiled graph depends on."""
        versions = [
            made_by(),
            _package().__version__,
            torch.__version__,
            self._core.get_property("CPU", "FULL_DEVICE_NAME"),
        ]
        text = "\n".join([name, *versions, *(f"{key}={value}" for key, value in settings.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _remembered(self, kept: Path | None, settings: Mapping[str, Any]) -> Any | None:
        """A graph that was compiled before; None if there is none, or it was made by something else."""
        if kept is None or not kept.is_file():
            return None
        with contextlib.suppress(RuntimeError, OSError):  # it is made anew then
            return self._core.import_model(kept.read_bytes(), "CPU", settings)
        return None

    def _compiled(self, layers: Layers, example: tuple[Tensor, ...], settings: Mapping[str, Any]) -> Any:
        try:
            return self._core.compile_model(converted(layers, example), "CPU", settings)
        except Exception as error:  # reader, tracer and compiler raise kinds without a common one
            raise MachineError(
                f"OpenVINO cannot run this network: {first_line(error)}; --backend eager does"
            ) from error


def _answers(requests: Sequence[Any], given: list[Any]) -> Iterator[Any]:
    """What each makes of the same features; all run at the same time.

    One thread starts them: called from two for the first time, OpenVINO's binding waits for itself forever.
    """
    for request in requests:
        request.start_async(given, share_inputs=True)
    for request in requests:
        request.wait()
        yield from (output.data.copy() for output in request.output_tensors)


def converted(layers: Layers, example: tuple[Tensor, ...]) -> Any:
    """The layers as OpenVINO's model of fixed shapes.

    By OpenVINO's own reader of PyTorch's traces, and not by its conversion tool, which may report its use.
    """
    _package()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, on branches that shapes decide: the shapes are fixed
        traced = torch.jit.trace(layers, example, check_trace=False)  # type: ignore[no-untyped-call]
        manager = FrontEndManager()  # named, like all that follows: OpenVINO keeps none of them alive
        reader = manager.load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=example)
        model = reader.convert(reader.load(decoder))
    model.reshape(dict(zip(model.inputs, (list(feature.shape) for feature in example), strict=True)))
    return model


def _keep(compiled: Any, kept: Path) -> None:
    """Write a compiled graph, whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(compiled.export_model().getbuffer())
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)


def _package() -> Any:
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise MachineError(
            f"OpenVINO is not installed ({error}); pip install 'unbraid[fast]' brings it"
        ) from error
    return openvino
