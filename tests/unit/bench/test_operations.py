"""Operations are counted, those of fused layers, too."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unbraid.bench.operations import operations


class Attention(nn.Module):
    """Each value asks all."""

    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


class Handing(nn.Module):
    """Gives a parameter to a layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Parameter(torch.ones(3))
        self.layer = nn.Linear(3, 5)

    def forward(self, x):
        return self.layer(self.embedding) * x


def test_a_parameter_may_be_handed_to_a_layer_and_all_can_learn_as_before():
    network = Handing()
    network.layer.bias.requires_grad_(requires_grad=False)
    assert operations(network, torch.ones(5)) == 2 * 3 * 5
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {"embedding", "layer.weight"}


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Linear(3, 5), (2, 3), 2 * 2 * 3 * 5),
        (nn.Conv1d(3, 5, 7, bias=False), (1, 3, 16), 2 * 3 * 5 * 7 * 10),
        (nn.LSTM(8, 4), (10, 2, 8), 2 * 10 * 2 * 16 * (8 + 4)),
        (nn.LSTM(8, 4, 2, bidirectional=True), (10, 1, 8), 2 * 10 * 2 * (16 * (8 + 4) + 16 * (8 + 4))),
        (Attention(), (1, 2, 6, 8), 2 * 2 * 6 * 6 * 16),
    ],
    ids=["linear", "convolution", "recurrence", "recurrence of two layers", "attention"],
)
def test_products_are_counted(network, shape, expected):
    assert operations(network.eval(), torch.randn(shape)) == expected
