"""Writes the names and shapes of weights as the published implementations make them.

Needs `demucs` 4.1.0. Run from the repository's root: python tests/golden/make_keys.py
"""

from __future__ import annotations

import importlib
import json
from fractions import Fraction
from pathlib import Path

import torch

FOUR = ["drums", "bass", "other", "vocals"]
SIX = [*FOUR, "guitar", "piano"]
# The third generation's code makes the first two as well, by its own names.
OLD = {"sources": FOUR, "lstm_layers": 2, "gelu": False, "norm_starts": 999, "dconv_mode": 0}
HT = {"dconv_mode": 3, "t_dropout": 0.02, "segment": Fraction(39, 5)}

# From a golden file's name to the class that makes the network, and what it is called with.
NETWORKS = {
    "demucs": ("demucs.demucs:Demucs", {**OLD, "channels": 64}),
    "demucs_48": ("demucs.demucs:Demucs", {**OLD, "channels": 48}),
    "demucs_100": ("demucs.demucs:Demucs", {**OLD, "channels": 100}),
    "demucs_v3": ("demucs.demucs:Demucs", {"sources": FOUR}),
    "demucs_v3_plain": ("demucs.demucs:Demucs", {"sources": FOUR, "rewrite": False}),
    "htdemucs": ("demucs.htdemucs:HTDemucs", {"sources": FOUR, "bottom_channels": 512, **HT}),
    "htdemucs_6s": ("demucs.htdemucs:HTDemucs", {"sources": SIX, "bottom_channels": 0, **HT}),
    "hdemucs": ("demucs.hdemucs:HDemucs", {"sources": FOUR}),
    "hdemucs_magnitude": ("demucs.hdemucs:HDemucs", {"sources": FOUR, "cac": False}),
    "hdemucs_late": (
        "demucs.hdemucs:HDemucs",
        {"sources": FOUR, "cac": False, "hybrid_old": True, "norm_starts": 999},
    ),
    "hdemucs_bands": (
        "demucs.hdemucs:HDemucs",
        {"sources": FOUR, "norm_starts": 999, "multi_freqs": [0.1, 0.3], "multi_freqs_depth": 2},
    ),
}

if __name__ == "__main__":
    for name, (path, options) in NETWORKS.items():
        module, klass = path.split(":")
        with torch.device("meta"):
            network = getattr(importlib.import_module(module), klass)(**options)
        shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
