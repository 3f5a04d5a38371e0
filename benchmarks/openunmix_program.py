"""The command line of openunmix, where there is no torchaudio for this PyTorch.

    python benchmarks/openunmix_program.py ARGUMENTS ...        as of `umx`

Of torchaudio, the separation of 44.1 kHz files uses reading and writing alone. Here soundfile does both; it
writes 32-bit float samples, as torchaudio did.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import soundfile
import torch

if TYPE_CHECKING:
    from torch import Tensor


def load(path: str) -> tuple[Tensor, int]:
    """A file's samples `(channels, time)` and its rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T).contiguous(), rate


def save(path: str, samples: Tensor, sample_rate: int) -> None:
    """Write samples `(channels, time)`."""
    soundfile.write(path, samples.numpy().T, int(sample_rate), subtype="FLOAT")


def main() -> None:
    """Stand in for torchaudio, and be `umx`."""
    stand_in = ModuleType("torchaudio")
    vars(stand_in).update(load=load, save=save)
    sys.modules["torchaudio"] = stand_in
    importlib.import_module("openunmix.cli").separate()


if __name__ == "__main__":
    main()
