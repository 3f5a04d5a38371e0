"""ONNX Runtime: layers as a graph for its providers, on processors and on devices of many makers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unbraid.engine.backends.base import first_line, made_by
from unbraid.engine.runtime import Precision
from unbraid.errors import MachineError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.engine.backends.graphs import Layers
    from unbraid.split import Inner

_OPSET = 17  # the first with layer normalisation as one operation
# From the fastest to the one that is always there; the first that this build of the runtime has is taken.
_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider",),
    "mps": ("CoreMLExecutionProvider",),
    "cpu": ("DmlExecutionProvider", "CPUExecutionProvider"),
}


def missing() -> str:
    """Why ONNX Runtime cannot be used here; empty if it can."""
    try:
        _package()
    except MachineError as error:
        return str(error)
    return ""


def providers(device: str) -> list[str]:
    """Those that this build of the runtime has for a kind of device, the processor's last.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    there = _package().get_available_providers()
    wanted = [name for name in _PROVIDERS.get(device, ()) if name in there]
    return list(dict.fromkeys([*wanted, "CPUExecutionProvider"]))


class OnnxMaker:
    """Makes ONNX Runtime's graphs.

    Args:
        precision: "exact", or "int8" for weights of linear layers in eight bits.
        threads: Of the processor; None: all that the runtime finds.
        folder: Where graphs are kept for the next time; None: nowhere.
        device: Kind of device.

    Raises:
        MachineError: If ONNX Runtime is not installed.
        UsageError: If it is to run in another precision.
    """

    title = "ONNX Runtime"

    def __init__(self, precision: Precision, threads: int | None, folder: Path | None, device: str) -> None:
        if precision not in (Precision.EXACT, Precision.INT8):
            raise UsageError(f"ONNX Runtime runs in exact or int8 here, not in {precision.value}")
        runtime = _package()
        self._precision, self._folder = precision, folder
        self._providers = providers(device)
        self._options = runtime.SessionOptions()
        # An arena would keep the most that any layer ever took: five times as much as is needed at once.
        self._options.enable_cpu_mem_arena = False
        if threads is not None:
            self._options.intra_op_num_threads = threads
        if "DmlExecutionProvider" in self._providers:  # which plans no memory ahead
            self._options.enable_mem_pattern = False

    def make(self, layers: Layers, example: tuple[Tensor, ...], name: str) -> Inner:
        """A graph of the layers, from the folder if it was made before.

        Args:
            layers: In evaluation mode.
            example: Features of the shapes that it shall take.
            name: Of layers and shapes.

        Raises:
            MachineError: If ONNX Runtime cannot run the layers.
        """
        runtime = _package()
        try:
            model = self._model(layers, example, name)
            session = runtime.InferenceSession(model, self._options, providers=self._providers)
        except Exception as error:  # exporter and runtime raise kinds of their own, without a common one
            raise MachineError(
                f"ONNX Runtime cannot run this network: {first_line(error)}; --backend eager does"
            ) from error
        names = [given.name for given in session.get_inputs()]

        def run(*features: Tensor) -> tuple[Tensor, ...]:
            fed = {name: feature.numpy() for name, feature in zip(names, features, strict=True)}
            return tuple(torch.from_numpy(answer) for answer in session.run(None, fed))

        return run

    def close(self) -> None:
        """Nothing is shared."""

    def _model(self, layers: Layers, example: tuple[Tensor, ...], name: str) -> bytes | str:
        """The graph's bytes, or the path where it lies."""
        if self._folder is None:
            return self._made(layers, example)
        versions = f"{made_by()}\n{_package().__version__}\n{torch.__version__}"
        text = f"{name}\n{self._precision.value}\n{versions}"
        kept = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.onnx"
        if not kept.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}.part")
            try:
                part.write_bytes(self._made(layers, example))
                part.replace(kept)
            finally:
                part.unlink(missing_ok=True)
        return str(kept)

    def _made(self, layers: Layers, example: tuple[Tensor, ...]) -> bytes:
        graph = exported(layers, example)
        return _quantized(graph) if self._precision is Precision.INT8 else graph


def exported(layers: Layers, example: tuple[Tensor, ...]) -> bytes:
    """The layers as an ONNX graph of fixed shapes."""
    # In evaluation the exporter makes one of equal weights, and loses the other: new norms are all alike. It
    # asks the outermost module alone; those within stay in evaluation.
    layers.training = True
    try:
        # What the exporter prints, and its warnings of branches that shapes decide: the shapes are fixed.
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            tempfile.TemporaryDirectory() as folder,
        ):
            warnings.simplefilter("ignore")
            written = Path(folder) / "layers.onnx"
            torch.onnx.export(
                layers,
                example,
                written,
                dynamo=False,
                opset_version=_OPSET,
                training=torch.onnx.TrainingMode.PRESERVE,
            )
            return written.read_bytes()
    finally:
        layers.training = False


def _quantized(graph: bytes) -> bytes:
    """A graph whose products with matrices of weights are taken in eight bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        plain.write_bytes(graph)
        quantize_dynamic(plain, small, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)
        return small.read_bytes()


def _package() -> Any:
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise MachineError(
            f"ONNX Runtime is not installed ({error}); pip install 'unbraid[onnx]' brings it"
        ) from error
    if importlib.util.find_spec("onnx") is None:
        raise MachineError("the package onnx is not installed; pip install 'unbraid[onnx]' brings it")
    return onnxruntime
