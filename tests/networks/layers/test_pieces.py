"""Pieces that overlap by half are those that `unfold` gives."""

from __future__ import annotations

import pytest
import torch

from unbraid.networks.layers.pieces import half_overlapping


@pytest.mark.parametrize(("width", "length"), [(4, 4), (4, 5), (6, 20), (2, 7)])
def test_pieces_are_those_of_unfold(width, length):
    x = torch.arange(2.0 * length).view(2, length)
    assert torch.equal(half_overlapping(x, width), x.unfold(-1, width, width // 2))
