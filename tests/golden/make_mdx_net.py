"""Writes the names and shapes of MDX-Net's weights as the published class makes them.

Needs `audio-separator` 0.47.1.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_mdx_net.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from reference.published_mdx_net import published, weights_of
from unbraid.networks.mdx_net import Target

NETWORKS = {
    "mdx_net": Target(),
    "mdx_net_drums": Target(frames=128, levels=4),
    "mdx_net_wide": Target(bins=3072, channels=48),
}

if __name__ == "__main__":
    for name, target in NETWORKS.items():
        with torch.device("meta"):
            weights = weights_of(published(target, norm="batch", hop_length=1024))
        shapes = {f"targets.0.{key}": list(value.shape) for key, value in sorted(weights.items())}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        Path(__file__).with_name(f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
