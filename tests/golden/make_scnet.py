"""Writes the names and shapes of the weights of SCNet, MDX23C and Apollo as the published classes make them.

Needs `msst` 0.1.0, `rotary-embedding-torch` 0.9.1 and `pymss-core` 0.1.14.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_scnet.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from networks.tiny import PUBLISHED
from reference.published_mdx23c import published_apollo, published_mdx23c
from reference.published_scnet import published, weights_of
from unbraid.config import structure
from unbraid.networks import apollo, mdx23c, scnet

MADE = {
    "scnet": (scnet.Config, lambda config: weights_of(published(config))),
    "mdx23c": (mdx23c.Config, lambda config: published_mdx23c(config).state_dict()),
    "apollo": (apollo.Config, lambda config: published_apollo(config).state_dict()),
}

if __name__ == "__main__":
    for entry in PUBLISHED:
        if entry.architecture not in MADE:
            continue
        config, made = MADE[entry.architecture]
        with torch.device("meta"):
            weights = made(structure(entry.config, config))
        shapes = {name: list(value.shape) for name, value in sorted(weights.items())}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        path = Path(__file__).with_name(f"{entry.name}.json")
        path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
