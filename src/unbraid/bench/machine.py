"""Which machine and which versions figures come from."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from unbraid._version import __version__
from unbraid.engine.tune import processor


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system and versions; None where the system does not tell."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": " ".join(filter(None, [platform.system(), *platform.libc_ver()])),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "unbraid": __version__,
    }


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):  # not every system can be asked
        return None
