"""WithRest: what one source leaves of the mixture is a source, too."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY, lively
from unbraid.errors import ConfigError
from unbraid.networks.base import build
from unbraid.networks.rest import WithRest
from unbraid.split import Split


@pytest.fixture
def network():
    network = build("bsrnn", TINY["bsrnn"])
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


@torch.no_grad()
def test_the_rest_is_the_mixture_less_the_estimate(network, rng):
    both = WithRest(network, "accompaniment").eval()
    mixture = torch.randn(2, 2, network.spec.segment, generator=rng)
    estimates = both(mixture)
    assert both.spec.sources == ("vocals", "accompaniment")
    assert estimates[:, :1].equal(network(mixture))
    torch.testing.assert_close(estimates.sum(1), mixture)


@torch.no_grad()
def test_layers_can_still_run_elsewhere(network, rng):
    both = WithRest(network, "rest").eval()
    assert isinstance(both, Split)
    mixture = torch.randn(1, 2, network.spec.segment, generator=rng)
    assert both.around(network.inner, mixture).equal(both(mixture))


def test_a_name_that_is_taken_is_refused(network):
    with pytest.raises(ConfigError, match="each once"):
        WithRest(network, "vocals")
