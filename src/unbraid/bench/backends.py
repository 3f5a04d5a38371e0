"""Which backends this machine has, and how one is made for a case: the bench's only door to the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.engine.backends import compiled, onnx, openvino
from unbraid.engine.backends.choose import Loaded, backend
from unbraid.engine.runtime import Engine, Precision, Runtime, engine_of, precision_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from unbraid.bench.cases import Case
    from unbraid.engine.backends.base import Backend
    from unbraid.spec import ModelSpec

REFERENCE = ("eager", "exact")  # backend and precision whose answer the others are compared with
# What is measured by name alone: half precision without units for it, or a compiler, takes minutes a segment.
BY_NAME = {
    ("eager", "bfloat16"),
    ("eager", "float16"),
    ("onnx", "int8"),
    ("compiled", "exact"),
    ("compiled", "bfloat16"),
}


def backends() -> Mapping[str, tuple[str, ...]]:
    """The backends that work here, by name, each with its precisions; the reference comes first."""
    found: dict[Engine, tuple[Precision, ...]] = {
        Engine.EAGER: (Precision.EXACT, Precision.BFLOAT16, Precision.FLOAT16)
    }
    if not openvino.missing():
        found[Engine.OPENVINO] = openvino.precisions()
    if not onnx.missing():
        found[Engine.ONNX] = (Precision.EXACT, Precision.INT8)
    if not compiled.missing():
        found[Engine.COMPILED] = (Precision.EXACT, Precision.BFLOAT16)
    return {engine.value: tuple(each.value for each in able) for engine, able in found.items()}


def backend_for(network: nn.Module, spec: ModelSpec, case: Case) -> Backend:
    """What runs a network as a case says; the network is the backend's from now on.

    Raises:
        MachineError: If the device, or what the backend needs, is missing.
        UsageError: If there is no kind of device of this name, or the precision does not go with the backend.
    """
    runtime = Runtime(
        case.device,
        case.threads,
        engine=engine_of(case.backend),
        precision=precision_of(case.precision),
        keep_pages=True,
    )
    return backend(Loaded(network, spec, spec.accepted_length(spec.segment)), runtime)
