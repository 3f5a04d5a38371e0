"""How much it matters to levelled networks by what they are levelled: docs/decisions/0007."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY, lively
from unbraid.networks.base import build

TWENTY_DB = 0.1


def snr_db(reference, estimate):
    return 10 * (reference.square().sum() / (estimate - reference).square().sum()).log10()


def agreement(architecture, config, rng):
    """How far below a network's answer its answer to the same, 20 dB quieter, differs from it."""
    network = build(architecture, config)
    network.load_state_dict(lively(network.state_dict()))
    network.eval()
    length = network.spec.accepted_length(network.spec.segment)
    mixture = torch.randn(2, network.spec.channels, length, generator=rng)
    with torch.inference_mode():
        return snr_db(network(mixture), network(TWENTY_DB * mixture) / TWENTY_DB)


@pytest.mark.parametrize("architecture", ["htdemucs", "hdemucs", "demucs", "conv_tasnet"])
def test_those_that_bring_each_segment_to_its_own_level_hardly_mind(architecture, rng):
    assert agreement(architecture, TINY[architecture], rng) > 60


def test_one_that_does_not_hears_something_else(rng):
    assert agreement("demucs", {**TINY["demucs"], "normalized": False}, rng) < 20
