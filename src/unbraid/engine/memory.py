"""The most memory that this process has held so far."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_PEAK = "5"  # what the kernel takes as: begin a new peak


def peak_bytes() -> int | None:
    """The peak of this process in main memory; None where the system does not tell."""
    if _STATUS.is_file():
        # Of this program alone: getrusage begins with the memory of the process that started it.
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        held = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return 1024 * int(held[0]) if held else None
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def begin_peak() -> bool:
    """Let the peak begin anew with what is held now; whether this system can."""
    try:
        _CLEAR.write_text(_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def device_peak_bytes(device: torch.device) -> int | None:
    """The peak of this process on a device with memory of its own; None for the processor's."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
