"""From an architecture's name and a configuration to a network."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from networks.tiny import TINY
from unbraid.errors import ConfigError, UnknownModelError
from unbraid.networks.base import build


def weights(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_a_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (build("htdemucs", TINY["htdemucs"], seed=seed) for seed in (1, 1, 2))
    assert weights(first).equal(weights(again))
    assert not weights(first).equal(weights(other))
    assert torch.random.get_rng_state().equal(before)


def test_an_unknown_architecture_is_answered_with_the_nearest():
    with pytest.raises(UnknownModelError, match="'htdemucz'; did you mean htdemucs"):
        build("htdemucz")


def test_an_architecture_like_no_other_is_answered_with_all():
    with pytest.raises(UnknownModelError, match=r"there are .*\bhtdemucs\b"):
        build("zzz")


def test_an_unknown_key_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"configuration of htdemucs: unknown key 'chanels'.*channels"):
        build("htdemucs", {"chanels": 48})


def test_a_value_of_the_wrong_kind_is_refused():
    with pytest.raises(ConfigError, match="channels"):
        build("htdemucs", {"channels": "48"})


def test_another_architectures_configuration_is_refused():
    with pytest.raises(ConfigError, match=r"was given a builtins\.str; it takes a mapping or its own"):
        build("htdemucs", "published")


def test_listing_architectures_loads_no_torch():
    code = "import sys, unbraid.networks as n; assert n.ARCHITECTURES; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
