"""Layers as graphs of real numbers: what runtimes other than torch are given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from networks.tiny import TINY, lively
from unbraid.networks.base import build
from unbraid.networks.layers.dconv import DConv
from unbraid.networks.layers.hybrid_levels import Encoder, Level


class Inner(nn.Module):
    """A network's layers without what is around them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, features):
        return self.network.inner(features)


@pytest.mark.parametrize("architecture", ["bandit", "bs_mamba2", "ts_bs_mamba2", "conformer"])
# Of a weight's length, which is fixed; and of torch's own check of what a recurrence is given.
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.trace", "ignore:Using len", "ignore:Converting a tensor to a Python b"
)
@torch.no_grad()
def test_layers_are_a_graph_of_real_numbers(architecture, rng):
    network = build(architecture, TINY[architecture])
    network.load_state_dict(lively(network.state_dict()))
    network.eval()
    mixture, other = (0.1 * torch.randn(2, 2, length, generator=rng) for length in (1200, 3000))
    seen = []
    network.around(lambda features: (seen.append(features), network.inner(features))[1], mixture)
    graph = torch.jit.trace(Inner(network), seen[0], check_trace=False)
    assert "Complex" not in str(graph.inlined_graph)
    torch.testing.assert_close(network.around(graph, other), network(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("layer", ["dconv", "gated"])
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.trace", "ignore:Using len", "ignore:Converting a tensor to a Python b"
)
@torch.no_grad()
def test_the_form_for_graphs_gives_the_same_answer(layer, rows, rng):
    level = Level(8, 4, 2, spectral=rows)
    made = DConv(16, compress=4, depth=2, init=0.5) if layer == "dconv" else Encoder(16, 8, level)
    made.load_state_dict(lively(made.state_dict()))
    made.double().eval()
    x = torch.randn(2, 16, *([12] if rows else []), 36, generator=rng, dtype=torch.float64)
    x += 5 * torch.randn(2, 16, *([12] if rows else []), 1, generator=rng, dtype=torch.float64)
    graph = torch.jit.trace(made, x, check_trace=False)
    assert "aten::glu" not in str(graph.inlined_graph)
    torch.testing.assert_close(graph(x), made(x), rtol=1e-10, atol=1e-10)
