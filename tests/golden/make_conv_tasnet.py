"""Writes the names and shapes of Conv-TasNet's weights as an independent implementation makes them.

Needs `pymss-core` 0.1.14. Run from the repository's root: python tests/golden/make_conv_tasnet.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pymss_core.modules.legacy_demucs import LegacyConvTasNet

if __name__ == "__main__":
    network = LegacyConvTasNet(["drums", "bass", "other", "vocals"], X=10)
    shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    Path(__file__).with_name("conv_tasnet.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
