"""Writes the names and shapes of Wave-U-Net's weights as the paper's table of layers implies them.

There is no installable implementation to ask. Level i has 24 · (i + 1) features; kernels have 15 samples on
the way down, 5 on the way up, where a level is joined to the one below, and 1 at the end, where the finest
is joined to the mixture. Run from the repository's root: python tests/golden/make_wave_u_net.py
"""

from __future__ import annotations

import json
from pathlib import Path

LEVELS, STEREO = 12, 2


def shapes(predicted: int, *, learned: bool) -> dict[str, list[int]]:
    """Each weight's shape, for so many sources that have an output of their own."""
    features = [24 * (level + 1) for level in range(LEVELS + 1)]
    convolutions = {f"down.{i}": (features[i], features[i - 1] if i else STEREO, 15) for i in range(LEVELS)}
    convolutions["bottleneck"] = (features[LEVELS], features[LEVELS - 1], 15)
    weights = {}
    for i, level in enumerate(reversed(range(LEVELS))):
        convolutions[f"up.{i}"] = (features[level], features[level] + features[level + 1], 5)
        if learned:
            weights[f"interpolation.{i}.weight"] = [features[level + 1]]
    for source in range(predicted):
        convolutions[f"output.{source}"] = (STEREO, features[0] + STEREO, 1)
    for name, shape in convolutions.items():
        weights[f"{name}.weight"] = list(shape)
        weights[f"{name}.bias"] = [shape[0]]
    return weights


NETWORKS = {
    "wave_u_net_m4": shapes(1, learned=False),
    "wave_u_net_m5": shapes(1, learned=True),
    "wave_u_net_m6": shapes(3, learned=False),
}

if __name__ == "__main__":
    for name, weights in NETWORKS.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(weights[key])}" for key in sorted(weights))
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
