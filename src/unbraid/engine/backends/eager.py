"""PyTorch as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.engine.runtime import Runtime
from unbraid.errors import MachineError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unbraid.spec import ModelSpec


class EagerBackend:
    """Runs a network in PyTorch, operation by operation.

    Args:
        network: From `(B, C, T)` to `(B, S, C, T)`, in evaluation mode; it is moved to the device and is the
            backend's from now on.
        spec: What the network says of itself.
        runtime: Device and threads.
    """

    def __init__(self, network: torch.nn.Module, spec: ModelSpec, runtime: Runtime | None = None) -> None:
        self.spec = spec
        self._runtime = runtime or Runtime()
        self._device = self._runtime.torch_device()
        self._network: Callable[[Tensor], Tensor] | None = network.to(self._device)

    def run(self, batch: Tensor, /) -> Tensor:
        """Estimates of a batch of segments.

        Args:
            batch: `(B, C, T)` in float32.

        Returns:
            `(B, S, C, T)` on the CPU in float32.

        Raises:
            MachineError: If memory runs out.
            ModelError: If the network gives NaN or infinity.
            UsageError: If the backend is closed.
        """
        if self._network is None:
            raise UsageError("this backend is closed")
        try:
            with torch.inference_mode(), self._runtime.torch_threads():
                estimates = self._network(batch.to(self._device)).to("cpu", torch.float32)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._out_of_memory(batch) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # how torch's CPU allocator says it
                raise self._out_of_memory(batch) from error
            raise
        if not torch.isfinite(estimates).all():
            raise ModelError(
                f"the network gave NaN or infinity for finite audio on {self._device}; "
                "the weights or the device are faulty: try --device cpu, and `unbraid models verify`"
            )
        return estimates

    def close(self) -> None:
        """Let go of the network."""
        self._network = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of_memory(self, batch: Tensor) -> MachineError:
        return MachineError(
            f"{self._device} ran out of memory on {batch.shape[0]} segments of {batch.shape[-1]} samples; "
            "a smaller batch needs less, and the device cpu has the machine's own memory"
        )
