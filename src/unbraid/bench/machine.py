"""Which machine and which versions figures come from."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from unbraid._version import __version__


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system and versions; None where the system does not tell."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": " ".join(filter(None, [platform.system(), *platform.libc_ver()])),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "unbraid": __version__,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):  # not every system can be asked
        return None
