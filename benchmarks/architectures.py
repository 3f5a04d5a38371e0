"""What each architecture costs at its published size: parameters, operations, time and peak memory.

    python benchmarks/architectures.py [ARCHITECTURE ...]

The first model of each in the list stands for it, or, where nobody published weights, the network as it is by
default; with random weights: cost does not depend on them. Four seconds of noise are separated at once, or as
much as the network takes or needs around them; the second time counts. Each is in a process of its own, in
float32, in PyTorch as it is.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from machine import kept, store
from unbraid.bench.operations import operations
from unbraid.bench.untrained import realistic, untrained
from unbraid.engine.backends.choose import Loaded, backend
from unbraid.engine.memory import begin_peak, peak_bytes
from unbraid.engine.runtime import Runtime
from unbraid.errors import UnbraidError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import build, parameter_count
from unbraid.zoo import catalog

SECONDS = 4.0


def representatives() -> dict[str, str]:
    """The first model of each architecture that has weights; none where there is none."""
    found = {card.architecture: card.name for card in reversed(catalog.cards()) if card.has_weights}
    methods = {card.architecture for card in catalog.cards() if not card.has_weights}
    return {name: found.get(name, "") for name in ARCHITECTURES if name not in methods}


def made(architecture: str, model: str) -> Any:
    """A network with random weights of realistic size, ready to separate."""
    if model:
        return untrained(catalog.card(model))
    network: Any = build(architecture, {})
    network.load_state_dict(realistic(network.state_dict()))
    return network.eval()


def cost(architecture: str, model: str) -> dict[str, Any]:
    """What a network costs, in this process."""
    network = made(architecture, model)
    spec, count = network.spec, parameter_count(network)
    most = spec.segment if spec.context else int(SECONDS * spec.sample_rate)  # what is around counts, too
    length = spec.accepted_length(min(spec.segment, most))
    mixture = 0.1 * torch.randn(1, spec.channels, length, generator=torch.Generator().manual_seed(0))
    seconds = (length - 2 * spec.context) / spec.sample_rate
    begin_peak()
    runner = backend(Loaded(network, spec, length), Runtime("cpu", keep_pages=True))
    runner.run(mixture)
    began = time.perf_counter()
    runner.run(mixture)
    took, held = time.perf_counter() - began, peak_bytes()
    return {
        "architecture": architecture,
        "model": model,
        "parameters": count,
        "seconds": round(seconds, 2),
        "gflop_per_second": round(operations(network, mixture) / 1e9 / seconds, 2),
        "rtf": round(took / seconds, 3),
        "peak_mb": round((held or 0) / 1e6),
    }


def main(chosen: list[str]) -> None:
    """Measure each in a process of its own and store the table."""
    rows = [row for row in kept("architectures") if chosen and row["architecture"] not in chosen]
    for architecture, name in representatives().items():
        if chosen and architecture not in chosen:
            continue
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            try:
                rows.append(apart.submit(cost, architecture, name).result())
            except UnbraidError as error:  # what it stands on is not installed here
                rows.append({"architecture": architecture, "model": name, "cannot": str(error)})
        print(rows[-1], flush=True)
    order = list(ARCHITECTURES)
    store("architectures", sorted(rows, key=lambda row: order.index(row["architecture"])), [])


if __name__ == "__main__":
    main(sys.argv[1:])
