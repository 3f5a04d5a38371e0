"""PyTorch as it is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from unbraid.engine.backends.base import Recall, is_out_of_memory, out_of_memory, require_finite
from unbraid.engine.backends.pages import KeptPages
from unbraid.engine.runtime import Precision, Runtime
from unbraid.errors import UsageError
from unbraid.split import Split, trusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from unbraid.spec import ModelSpec

# Names of what sums products of bfloat16 in one step: of Intel, of AMD and Intel, of ARM.
_HALF_UNITS = ("amx_bf16", "avx512_bf16", "bf16")
_DTYPES = {Precision.BFLOAT16: torch.bfloat16, Precision.FLOAT16: torch.float16}


def has_half_units(runtime: Runtime) -> bool:
    """Whether PyTorch multiplies in bfloat16 faster than in float32 here."""
    device = runtime.torch_device()
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = capabilities() if device.type == "cpu" else {}
    return any(bool(able.get(unit)) for unit in _HALF_UNITS)


def capabilities() -> Mapping[str, object]:
    """What PyTorch knows of the processor; nothing where it is too old to tell."""
    ask = getattr(torch.cpu, "get_capabilities", dict)
    known: Mapping[str, object] = ask()
    return known


class EagerBackend:
    """Runs a network in PyTorch, operation by operation.

    In half precision only the layers are: products are taken in it, norms and sums in float32, as torch's
    autocast decides. A batch that does not fit into a device's memory is run half by half.

    Args:
        network: From `(B, C, T)` to `(B, S, C, T)`, in evaluation mode; it is moved to the device and is the
            backend's from now on.
        spec: What the network says of itself.
        runtime: Device, threads and precision.

    Raises:
        UsageError: If PyTorch does not run in this precision.
    """

    def __init__(self, network: torch.nn.Module, spec: ModelSpec, runtime: Runtime | None = None) -> None:
        self.spec = spec
        self._runtime = runtime or Runtime()
        if self._runtime.precision is Precision.INT8:
            raise UsageError("PyTorch runs no network in int8 here; --backend onnx does")
        self._device = self._runtime.torch_device()
        self._network: torch.nn.Module | None = network.to(self._device)
        self._recall = Recall()
        self._pages = KeptPages() if self._runtime.keep_pages and self._device.type == "cpu" else None

    def prepare(self) -> None:
        """Nothing takes long."""

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
            with torch.inference_mode(), self._runtime.torch_threads(), exact_products(self._device):
                estimates = self._estimates(batch.to(self._device)).to("cpu", torch.float32)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise out_of_memory(batch, str(self._device)) from error
        else:
            return require_finite(estimates, str(self._device))
        self._empty()  # outside the handler: the error held the tensors that did not fit
        return torch.cat([self.run(half) for half in batch.tensor_split(2)])

    def _estimates(self, batch: Tensor) -> Tensor:
        estimates: Tensor
        network, dtype = self._network, _DTYPES.get(self._runtime.precision)
        assert network is not None  # noqa: S101 - `run` has looked
        if not isinstance(network, Split):
            lower = torch.autocast(self._device.type, dtype) if dtype else contextlib.nullcontext()
            with lower:
                estimates = network(batch)
            return estimates
        layers: Split = network
        if dtype is None:
            return trusted(layers, self._recall.of(layers, layers.inner), batch)

        def inner(*features: Tensor, **choice: int) -> tuple[Tensor, ...]:
            with torch.autocast(self._device.type, dtype):
                return tuple(value.float() for value in layers.inner(*features, **choice))

        return trusted(layers, self._recall.of(layers, inner), batch)

    def close(self) -> None:
        """Let go of the network."""
        self._network = None
        self._recall = Recall()
        self._empty()
        if self._pages:
            self._pages.close()

    def _empty(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


@contextlib.contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """On CUDA float32 means float32: cuDNN would round its products to ten bits (TF32) otherwise."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
