"""Unbraid takes a song apart: it separates a recording into its stems.

>>> import unbraid
>>> "htdemucs" in unbraid.list_models()
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from unbraid._version import __version__

if TYPE_CHECKING:
    from unbraid.audio import Audio
    from unbraid.delivery import Separation
    from unbraid.errors import Cancelled, UnbraidError
    from unbraid.estimates import Estimates
    from unbraid.io.formats import OutputFormat
    from unbraid.io.read import read
    from unbraid.io.write import write
    from unbraid.progress import OutputReady, Progress
    from unbraid.separator import Separator, separate
    from unbraid.spec import ModelSpec
    from unbraid.zoo.ensembles import list_models
    from unbraid.zoo.load import load

__all__ = [
    "Audio",
    "Cancelled",
    "Estimates",
    "ModelSpec",
    "OutputFormat",
    "OutputReady",
    "Progress",
    "Separation",
    "Separator",
    "UnbraidError",
    "__version__",
    "list_models",
    "load",
    "read",
    "separate",
    "write",
]

# Where each public name lives; importing the package loads none of them, and no torch.
_HOMES = {
    "Audio": "audio",
    "Cancelled": "errors",
    "Estimates": "estimates",
    "ModelSpec": "spec",
    "OutputFormat": "io.formats",
    "OutputReady": "progress",
    "Progress": "progress",
    "Separation": "delivery",
    "Separator": "separator",
    "UnbraidError": "errors",
    "list_models": "zoo.ensembles",
    "load": "zoo.load",
    "read": "io.read",
    "separate": "separator",
    "write": "io.write",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'unbraid' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"unbraid.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
