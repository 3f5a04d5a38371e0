"""Writes the names and shapes of MMDenseLSTM's weights as they are today: none are published but these.

Run from the repository's root: python tests/golden/make_mm_dense_lstm.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from unbraid.networks.base import build

if __name__ == "__main__":
    with torch.device("meta"):
        network = build("mm_dense_lstm")
    shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    Path(__file__).with_name("mm_dense_lstm.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
