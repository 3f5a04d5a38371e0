"""What a network's layers must be for a runtime that has a graph of real numbers and nothing else."""

from __future__ import annotations

import warnings

import torch


@torch.no_grad()
def require_real(network, mixture):
    """The layers can be written down as a graph without complex numbers that gives the same estimates."""
    heard = []

    def recorded(*features):
        heard.append(features)
        return network.inner(*features)

    expected = network.around(recorded, mixture)
    layers = _Layers(network).eval()
    with warnings.catch_warnings():
        # Of torch's own LSTM, which holds its weights in a list, too.
        warnings.filterwarnings("ignore", message="The tensor attributes .*_flat_weights")
        graph = torch.export.export(layers, heard[0], strict=False)
    values = (node.meta.get("val") for node in graph.graph.nodes)
    assert not any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
    torch.testing.assert_close(network.around(graph.module(), mixture), expected, rtol=1e-4, atol=1e-5)


class _Layers(torch.nn.Module):
    """The layers alone."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *features):
        return self.network.inner(*features)
