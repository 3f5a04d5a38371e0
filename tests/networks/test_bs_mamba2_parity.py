"""BS-Mamba2 and TS-BSMamba2 against the published networks, whose kernel for CUDA has a stand-in."""

from __future__ import annotations

import functools
from unittest import mock

import pytest
import torch

from networks.tiny import TINY, lively
from reference import published_msst
from unbraid.config import structure
from unbraid.networks import bs_mamba2, ts_bs_mamba2

pytestmark = [
    pytest.mark.reference,
    # What the published network says of gradients it is not asked for.
    pytest.mark.filterwarnings("ignore:.*use_reentrant.*", "ignore:None of the inputs have requires_grad"),
]

NETWORKS = {
    "bs_mamba2": (bs_mamba2.BSMamba2, bs_mamba2.Config, published_msst.bs_mamba2),
    "ts_bs_mamba2": (ts_bs_mamba2.TSBSMamba2, ts_bs_mamba2.Config, published_msst.ts_bs_mamba2),
}

# What published networks decide themselves; the second asks for two layers at least, too.
DECIDED = {
    "bs_mamba2": {"expansion": 4, "mask_expansion": 4},
    "ts_bs_mamba2": {"state_size": 128, "expansion": 4, "head_size": 64, "mask_layers": 2, "map_layers": 2},
}


def pair(name, **changes):
    """Ours and the published network with equal weights, all of whose branches are alive."""
    network, kind, published = NETWORKS[name]
    config = structure({**TINY[name], **DECIDED[name], **changes}, kind)
    ours, theirs = network(config), published(config)
    theirs.load_state_dict(lively(theirs.state_dict()))
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def distance(estimate, reference):
    return ((estimate.double() - reference.double()).norm() / reference.double().norm()).item()


CASES = [
    ("bs_mamba2", {}, 3000),
    ("bs_mamba2", {"audio_channels": 1, "mask_layers": 2, "depth": 2}, 611),
    ("ts_bs_mamba2", {"channels": 16, "sources": ["a", "b", "c"]}, 3000),
    ("ts_bs_mamba2", {"channels": 16, "audio_channels": 1, "map_layers": 3}, 1025),
]


@pytest.mark.parametrize(("name", "changes", "length"), CASES)
@torch.no_grad()
def test_estimates_are_those_of_the_published_network(name, changes, length, rng):
    ours, theirs = pair(name, **changes)
    mixture = torch.randn(2, ours.spec.channels, length, generator=rng)
    assert distance(ours(mixture), theirs(mixture)) < 1e-5


@torch.no_grad()
def test_in_float64_nothing_but_rounding_is_left(rng):
    ours, theirs = (network.double() for network in pair("ts_bs_mamba2", channels=16))
    mixture = torch.randn(1, 2, 2000, generator=rng, dtype=torch.float64)
    exact = functools.partial(torch.hann_window, dtype=torch.float64)  # the published window is float32's
    with mock.patch("torch.hann_window", lambda length, **_: exact(length)):
        expected = theirs(mixture)
    assert distance(ours(mixture), expected) < 1e-12
