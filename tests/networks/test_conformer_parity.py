"""The Conformer against the published network."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY, lively
from reference import published_msst
from unbraid.config import structure
from unbraid.networks.conformer import Config, Conformer
from unbraid.networks.layers import conformer_block

pytestmark = pytest.mark.reference


def pair(**changes):
    """Ours and the published network with equal weights, all of whose branches are alive."""
    config = structure({**TINY["conformer"], **changes}, Config)
    ours, theirs = Conformer(config), published_msst.conformer(config)
    theirs.load_state_dict(lively(theirs.state_dict()))
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def distance(estimate, reference):
    return ((estimate.double() - reference.double()).norm() / reference.double().norm()).item()


# The last has more frames than distances are told apart.
@pytest.mark.parametrize("length", [33, 3000, 16 * 700])
@pytest.mark.parametrize("changes", [{}, {"audio_channels": 1, "kernel_size": 4}, {"sources": list("abc")}])
@torch.no_grad()
def test_estimates_are_those_of_the_published_network(changes, length, rng):
    ours, theirs = pair(**changes)
    mixture = torch.randn(2, ours.spec.channels, length, generator=rng)
    assert distance(ours(mixture), theirs(mixture)) < 1e-5
    theirs.double().window = torch.hann_window(64, dtype=torch.float64)
    assert distance(ours.double()(mixture.double()), theirs(mixture.double())) < 1e-12


@torch.no_grad()
def test_how_many_queries_are_answered_at_once_does_not_matter(rng, monkeypatch):
    ours, _ = pair()
    mixture = torch.randn(1, 2, 3000, generator=rng)
    whole = ours(mixture)
    monkeypatch.setattr(conformer_block, "_SCORES", 5000)
    torch.testing.assert_close(ours(mixture), whole)


@torch.no_grad()
def test_training_is_that_of_the_published_network(rng):
    ours, theirs = (network.train() for network in pair())
    mixture = torch.randn(2, 2, 3000, generator=rng)
    assert distance(ours(mixture), theirs(mixture)) < 1e-5
    statistics = dict(theirs.named_buffers())
    for name, value in ours.named_buffers():
        torch.testing.assert_close(value, statistics[name])
