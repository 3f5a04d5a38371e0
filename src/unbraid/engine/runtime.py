"""Runtime: what decides the speed, never the sound beyond a stated rounding."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch

from unbraid.errors import MachineError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator


_GPU_BATCH = 4  # segments; a batch that does not fit into a GPU's memory is halved by the backend
_MOST_THREADS = 1024  # far above what helps; tens of thousands crash the OpenMP runtime below torch


class Engine(str, Enum):
    """What runs a network's layers."""

    AUTO = "auto"  # whichever was fastest when it was tried on this machine
    EAGER = "eager"  # PyTorch, operation by operation
    COMPILED = "compiled"  # PyTorch's compiler; needs a C++ compiler on a CPU
    OPENVINO = "openvino"  # OpenVINO, on a CPU
    ONNX = "onnx"  # ONNX Runtime


class Precision(str, Enum):
    """In which numbers the layers calculate; spectra, levels and sums are float32 or better always."""

    AUTO = "auto"  # the fastest that costs at most 0.02 dB of SDR
    EXACT = "exact"  # float32
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"  # weights of linear layers


@dataclass(frozen=True, slots=True)
class Runtime:
    """What decides the speed.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best one there is.
        threads: Processor threads; None: torch's own choice.
        batch_size: Segments given to the network at once; None: as suits the device.
        engine: What runs the layers.
        precision: In which numbers they calculate.
        keep_pages: On Linux with glibc: the process keeps memory that a layer let go for the next one, while
            a network is loaded.
        memory_bytes: That the process may hold at most while it separates, Python and all; ways to run the
            network that need more are passed over. None: as much as they need.

    Raises:
        UsageError: If threads or batch size are below 1, or threads beyond all sense.
    """

    device: str = "auto"
    threads: int | None = None
    batch_size: int | None = None
    engine: Engine = Engine.EAGER
    precision: Precision = Precision.EXACT
    keep_pages: bool = False
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        threads = 1 if self.threads is None else self.threads
        batch_size = 1 if self.batch_size is None else self.batch_size
        if not 1 <= threads <= _MOST_THREADS or batch_size < 1:
            raise UsageError(
                f"{threads} threads and a batch of {batch_size} were asked for; both start at 1, "
                f"and there can be {_MOST_THREADS} threads"
            )

    @property
    def batch(self) -> int:
        """Segments given to the network at once on this device.

        A GPU waits between the small layers of one segment; a processor has no time to win, and memory to
        lose.
        """
        if self.batch_size is not None:
            return self.batch_size
        return _GPU_BATCH if self.torch_device().type == "cuda" else 1

    def torch_device(self) -> torch.device:
        """The device to run on.

        Raises:
            UsageError: If there is no kind of device of this name.
            MachineError: If this machine has no such device.
        """
        if self.device == "auto":
            found = (
                "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
            )
            return torch.device(found)
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise UsageError(
                f"no device is called {self.device!r}; try auto, cpu, cuda, cuda:1 or mps"
            ) from error
        if not _is_present(device):
            raise MachineError(
                f"the device {self.device} was asked for and is not there; --device cpu works everywhere"
            )
        return device

    @contextlib.contextmanager
    def torch_threads(self) -> Iterator[None]:
        """Run with these threads; the process's own number comes back afterwards."""
        before = torch.get_num_threads()
        if self.threads is not None and self.threads != before:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


def engine_of(name: str) -> Engine:
    """An engine by its name.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in set(Engine):
        names = [engine.value for engine in Engine]
        raise UsageError(
            f"no backend is called {name!r}; there are {', '.join(names)}{did_you_mean(name, names)}"
        )
    return Engine(name)


def precision_of(name: str) -> Precision:
    """A precision by its name.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in set(Precision):
        names = [precision.value for precision in Precision]
        raise UsageError(
            f"no precision is called {name!r}; there are {', '.join(names)}{did_you_mean(name, names)}"
        )
    return Precision(name)


def _is_present(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"
