"""Runtime: what decides the speed, never the sound."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


_MOST_THREADS = 1024  # far above what helps; tens of thousands crash the OpenMP runtime below torch


@dataclass(frozen=True, slots=True)
class Runtime:
    """What decides the speed.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best one there is.
        threads: Processor threads; None: torch's own choice.
        batch_size: Segments given to the network at once.

    Raises:
        UsageError: If threads or batch size are below 1, or threads beyond all sense.
    """

    device: str = "auto"
    threads: int | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        if (self.threads is not None and not 1 <= self.threads <= _MOST_THREADS) or self.batch_size < 1:
            raise UsageError(
                f"{self.threads} threads and a batch of {self.batch_size} were asked for; both start at 1, "
                f"and there can be {_MOST_THREADS} threads"
            )

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


def _is_present(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"
