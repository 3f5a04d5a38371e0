"""Writes the names and shapes of HT Demucs' weights as the published implementation makes them.

Needs `demucs` 4.1.0. Run from the repository's root: python tests/golden/make_htdemucs.py
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

from demucs.htdemucs import HTDemucs

FOUR = ["drums", "bass", "other", "vocals"]
VARIANTS = {
    "htdemucs": {"sources": FOUR, "bottom_channels": 512},
    "htdemucs_6s": {"sources": [*FOUR, "guitar", "piano"], "bottom_channels": 0},
}

if __name__ == "__main__":
    for name, options in VARIANTS.items():
        network = HTDemucs(**options, dconv_mode=3, t_dropout=0.02, segment=Fraction(39, 5))
        shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
