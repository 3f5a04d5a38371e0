"""MDX23C against an independent implementation, with weights under which every branch speaks."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import lively
from reference.published_mdx23c import published_mdx23c
from unbraid.config import structure
from unbraid.networks.mdx23c import MDX23C, Config

pytestmark = pytest.mark.reference

SMALL = {
    "n_fft": 128,
    "hop_length": 32,
    "bins": 64,
    "frames": 16,
    "channels": 8,
    "growth": 4,
    "levels": 2,
}
VARIANTS = {
    "small": SMALL,
    "all bins, six sub-bands": {**SMALL, "n_fft": 190, "bins": 96, "subbands": 6},
    "two sources, one sub-band": {**SMALL, "sources": ["a", "b"], "subbands": 1, "bottleneck": 3},
    "frames and bins by other factors": {**SMALL, "scale": [4, 1], "blocks": 3},
    "no levels": {**SMALL, "levels": 0, "blocks": 1},
    "no growth": {**SMALL, "growth": 0},
}


def pair(options, *, target=None):
    """Ours and theirs with equal weights, in evaluation mode."""
    config = structure(options, Config)
    theirs = published_mdx23c(config, target=target)
    weights = lively(theirs.state_dict())
    theirs.load_state_dict(weights)
    ours = MDX23C(config)
    ours.load_state_dict(weights)
    return ours.eval(), theirs.eval()


@torch.no_grad()
def difference(ours, theirs, *, dtype=torch.float64, batch=2):
    """Norm of the difference over the norm of theirs, whose window is of the precision, too."""
    generator = torch.Generator().manual_seed(batch)
    mixture = torch.randn(batch, 2, ours.spec.segment, generator=generator).to(dtype)
    theirs.stft.window = torch.hann_window(theirs.stft.n_fft, dtype=dtype)
    expected = theirs.to(dtype)(mixture)
    found = ours.to(dtype)(mixture)
    return ((found - expected.view_as(found)).norm() / expected.norm()).item()


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_mathematics_is_that_of_the_published_network(options):
    ours, theirs = pair(options)
    assert difference(ours, theirs) < 1e-12
    assert difference(ours, theirs, dtype=torch.float32) < 1e-5


def test_a_target_of_several_instruments_is_the_only_source():
    ours, theirs = pair({**SMALL, "sources": ["vocals"]}, target="vocals")
    assert difference(ours, theirs) < 1e-12


@pytest.mark.slow
def test_the_full_network_agrees():
    ours, theirs = pair({"frames": 32})
    assert difference(ours, theirs, dtype=torch.float32, batch=1) < 1e-5
