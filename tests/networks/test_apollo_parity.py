"""Apollo against an independent implementation, with weights under which every branch speaks."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import lively
from reference.published_mdx23c import published_apollo
from unbraid.networks.apollo import Apollo, Config

pytestmark = pytest.mark.reference


def pair(config):
    """Ours and theirs with equal weights, and with the published rotations, in evaluation mode."""
    theirs = published_apollo(config)
    state = theirs.state_dict()
    weights = {**lively(state), **{name: value for name, value in state.items() if name.endswith("_freq")}}
    theirs.load_state_dict(weights)
    ours = Apollo(config)
    assert all(ours.state_dict()[name].equal(state[name]) for name in state if name.endswith("_freq"))
    ours.load_state_dict(weights)
    return ours.eval(), theirs.eval()


@torch.no_grad()
def difference(ours, theirs, length, *, dtype=torch.float64, batch=2):
    """Norm of the difference over the norm of theirs; its spectra are in float32, whatever its layers are."""
    generator = torch.Generator().manual_seed(length)
    recording = 0.1 * torch.randn(batch, 2, length, generator=generator).to(dtype)
    expected = theirs.to(dtype)(recording)
    return ((ours.to(dtype)(recording)[:, 0] - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("options", [{"channels": 32, "layers": 1}, {"channels": 48, "layers": 2}])
@pytest.mark.parametrize("length", [442, 882, 883, 4000])
def test_the_mathematics_is_that_of_the_published_network(options, length):
    pair_ = pair(Config(**options))
    assert difference(*pair_, length) < 1e-6
    assert difference(*pair_, length, dtype=torch.float32) < 1e-5


def test_the_full_network_agrees():
    assert difference(*pair(Config()), 6000, dtype=torch.float32, batch=1) < 1e-5
