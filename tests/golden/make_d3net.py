"""Writes the names and shapes of D3Net's weights as the published code makes them, and ours for them.

Needs `d3net-spleeterweb` 0.1.3. Run from the repository's root: python tests/golden/make_d3net.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.nnabla_on_torch import Parameters, Variable
from reference.published_d3net import hyper_parameters, published_d3net
from unbraid.networks.d3net import Config
from unbraid.zoo.keymaps.d3net import rename


def written(name, shapes):
    """One line for each weight."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in sorted(shapes.items()))
    Path(__file__).with_name(name).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    config, ours, theirs = Config(), {}, {}
    for index, (source, target) in enumerate(zip(config.sources, config.targets, strict=True)):
        parameters = Parameters(lambda _, shape: torch.zeros(shape))
        with published_d3net(parameters) as published, parameters.scope(source):
            silence = Variable(torch.zeros(1, 16, config.audio_channels, config.n_fft // 2 + 1))
            published.network(hyper_parameters(config, target), test=True)(silence)
        state = rename(parameters)
        ours |= {f"targets.{index}.{name}": list(value.shape) for name, value in state.items()}
        theirs |= {name: list(value.shape) for name, value in parameters.items() if source == "bass"}
    written("d3net.json", ours)
    written("d3net_bass_nnabla.json", theirs)
