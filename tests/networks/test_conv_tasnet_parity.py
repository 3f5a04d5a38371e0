"""Conv-TasNet against an independent implementation, with weights under which every branch speaks."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import lively
from unbraid.networks.conv_tasnet import Config, ConvTasNet

pytestmark = pytest.mark.reference


def pair(config):
    """Ours and theirs with equal weights, in evaluation mode."""
    from pymss_core.modules.legacy_demucs import LegacyConvTasNet

    theirs = LegacyConvTasNet(
        list(config.sources),
        N=config.filters,
        L=config.filter_length,
        B=config.bottleneck_channels,
        H=config.hidden_channels,
        P=config.kernel_size,
        X=config.blocks,
        R=config.repeats,
        audio_channels=config.audio_channels,
    )
    ours, weights = ConvTasNet(config), lively(theirs.state_dict())
    ours.load_state_dict(weights)
    theirs.load_state_dict(weights)
    return ours.eval(), theirs.eval()


@torch.no_grad()
def difference(ours, theirs, length, *, batch=1, dtype=torch.float64):
    """Norm of the difference over the norm of theirs."""
    generator = torch.Generator().manual_seed(length)
    mixture = 0.1 * torch.randn(batch, ours.config.audio_channels, length, generator=generator).to(dtype)
    expected = theirs.to(dtype)(mixture)
    return ((ours.to(dtype)(mixture) - expected).norm() / expected.norm()).item()


SMALL = {"filters": 16, "filter_length": 8, "bottleneck_channels": 12, "hidden_channels": 20, "blocks": 3}
VARIANTS = {
    "small": SMALL,
    "mono, two sources": {**SMALL, "audio_channels": 1, "sources": ("a", "b"), "kernel_size": 5},
    "no neighbours": {**SMALL, "kernel_size": 1, "repeats": 1},
    "neighbours further away than a piece": {**SMALL, "kernel_size": 9, "blocks": 10, "repeats": 1},
    "frames of two samples": {**SMALL, "filter_length": 2},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("length", [8, 77, 512 * 4 + 4, 512 * 4 + 5, 9001])
def test_the_mathematics_is_that_of_the_published_network(options, length):
    assert difference(*pair(Config(**options)), length, batch=2) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("length", [20, 1000, 7_657])
def test_the_full_network_agrees(length, dtype):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert difference(*pair(Config()), length, dtype=dtype) < tolerance
