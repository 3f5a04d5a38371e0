"""Which backends this machine has, and how one is made for a case: the bench's only door to the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from unbraid.bench.cases import Case
    from unbraid.engine.backends.base import Backend
    from unbraid.spec import ModelSpec

REFERENCE = ("eager", "exact")  # backend and precision whose answer the others are compared with


def backends() -> Mapping[str, tuple[str, ...]]:
    """The backends that work here, by name, each with its precisions; the reference comes first."""
    backend, precision = REFERENCE
    return {backend: (precision,)}


def backend_for(network: nn.Module, spec: ModelSpec, case: Case) -> Backend:
    """What runs a network as a case says; the network is the backend's from now on.

    Raises:
        MachineError: If the device is missing.
        UsageError: If there is no kind of device of this name.
    """
    return EagerBackend(network, spec, Runtime(case.device, case.threads))
