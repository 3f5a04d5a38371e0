"""Spool: samples kept on disk between two passes, so that memory stays constant."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import torch

from unbraid.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor
    from typing_extensions import Self


class Spool:
    """An unnamed temporary file of float32 samples; the system removes it, even after a crash.

    Args:
        folder: Where it lies, which decides the disk.

    Raises:
        MachineError: If nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._channels = 0
        self.length = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close
        except OSError as error:
            raise self._full(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, samples: Tensor) -> None:
        """Keep samples, `(channels, n)`; all blocks have the same channels.

        Raises:
            MachineError: If the disk is full.
        """
        frames = np.ascontiguousarray(samples.detach().T.numpy(), dtype=np.float32)  # (n, channels)
        self._channels = frames.shape[1]
        self.length += frames.shape[0]
        left = frames.reshape(-1).data.cast("B")
        try:
            while left:  # a system may take less than it is given
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._full(error) from error

    def blocks(self, length: int = 65536) -> Iterator[Tensor]:
        """Everything kept, from the start.

        Args:
            length: Samples in each block but the last.

        Yields:
            `(channels, length)` in float32, the last one shorter.
        """
        self._file.seek(0)
        for start in range(0, self.length, length):
            size = 4 * self._channels * min(length, self.length - start)
            data = bytearray()
            while len(data) < size:  # a system may give less than it is asked for
                data += self._file.read(size - len(data))
            yield torch.frombuffer(data, dtype=torch.float32).view(-1, self._channels).T

    def close(self) -> None:
        """Give the room on the disk back."""
        self._file.close()

    def _full(self, error: OSError) -> MachineError:
        return MachineError(
            f"samples cannot be kept in {self._folder} between the passes ({error.strerror}); "
            "make room there, or write elsewhere"
        )
