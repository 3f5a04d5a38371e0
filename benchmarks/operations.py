"""Counts the multiply-adds that each model takes for a second of audio; writes zoo/costs.toml.

    python benchmarks/operations.py             count what is new, and keep what stands there
    python benchmarks/operations.py --all       count all of it again

Products of matrices and convolutions are counted as torch runs them, over one segment and without overlap: no
weights are needed, and no time is measured. Where a network does not run without values, it is given noise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from unbraid.bench.operations import operations
from unbraid.errors import WeightsError
from unbraid.networks.base import build, parameter_count
from unbraid.zoo.catalog import cards

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from unbraid.zoo.checkpoint import Checkpoint

COSTS = Path(__file__).parent.parent / "src" / "unbraid" / "zoo" / "costs.toml"
HEAD = """\
# Billions of multiply-adds for a second of audio, without overlap, by model. Written by
# benchmarks/operations.py, which counts the products of matrices and the convolutions of one segment. That of
# d3net, which takes too long to count, is its measured time by that of htdemucs, in benchmarks/models.json.

"""
# Seconds that are counted at most: of recurrent networks, and of what must really be computed.
_RECURRENT, _COMPUTED = 2.0, 11.8


def cost(card: Checkpoint) -> float:
    """Billions of multiply-adds for a second of audio, to three digits.

    Raises:
        WeightsError: If the network lacks a package.
    """
    try:
        return _counted(card, "meta")
    except (RuntimeError, NotImplementedError):
        return _counted(card, "cpu")


def _counted(card: Checkpoint, device: str) -> float:
    with torch.device(device):
        network: Any = build(card.architecture, card.config)
        if hasattr(network.config, "windows"):  # all of which cost the same
            network = build(card.architecture, {**card.config, "windows": 1})
        spec, length = network.spec, network.spec.segment
        recurrent = [module for module in network.modules() if isinstance(module, nn.RNNBase)]
        share = sum(map(parameter_count, recurrent)) / max(1, parameter_count(network))
        most = _RECURRENT if share > 0.1 else _COMPUTED if device == "cpu" else float("inf")
        if length > most * spec.sample_rate and not spec.fixed:
            length = spec.accepted_length(round(most * spec.sample_rate))
        counted = operations(network.eval(), torch.randn(1, spec.channels, length))
    return float(f"{counted / 2e9 / (length / spec.sample_rate):.3g}")


def main(arguments: list[str]) -> None:
    """Count, and write."""
    known = (
        {} if "--all" in arguments or not COSTS.exists() else tomllib.loads(COSTS.read_text(encoding="utf-8"))
    )
    seen: dict[str, float] = {}
    costs: dict[str, float] = {}
    for card in cards():
        if not card.has_weights:
            continue
        config = {key: value for key, value in card.config.items() if key != "sources"}
        network = json.dumps([card.architecture, config, len(card.sources)], sort_keys=True, default=str)
        if card.name in known:
            seen.setdefault(network, known[card.name])
        if network not in seen:
            try:
                seen[network] = cost(card)
            except WeightsError as error:
                print(f"{card.name}: {error}", file=sys.stderr)
                continue
            print(f"{card.name}: {seen[network]:g}", flush=True)
        costs[card.name] = known.get(card.name, seen[network])
        lines = [f'"{name}" = {cost:g}' for name, cost in costs.items()]
        left = [f'"{name}" = {cost:g}' for name, cost in known.items() if name not in costs]
        COSTS.write_text(HEAD + "\n".join([*lines, *left]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
