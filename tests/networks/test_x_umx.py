"""What X-UMX promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks import open_unmix
from unbraid.networks.x_umx import XUMX, Config


def small(**changes):
    """A small network, all of whose branches are alive."""
    network = XUMX(structure({**TINY["x_umx"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def noise(network, rng, length=1500):
    return 0.3 * torch.randn(2, network.spec.channels, length, generator=rng)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = XUMX().spec
    assert spec.sources == ("bass", "drums", "vocals", "other")
    assert (spec.sample_rate, spec.channels, spec.segment, spec.limit) == (44100, 2, 1_228_799, 158_760_000)


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 65, 1001])
@pytest.mark.parametrize("kind", [{}, {"sources": ["vocals"]}, {"unidirectional": True, "audio_channels": 1}])
def test_a_mixture_of_any_length_is_taken(kind, length, rng):
    network = small(**kind)
    estimates = network(noise(network, rng, length))
    assert estimates.shape == (2, len(network.spec.sources), network.spec.channels, length)
    assert estimates.isfinite().all()


def test_sources_of_equal_weights_are_one_open_unmix(rng):
    """Whatever is shared is then each one's own."""
    network = small()
    first = network.targets[0].state_dict()
    for target in network.targets:
        target.load_state_dict(first)
    alone = open_unmix.OpenUnmix(structure({**TINY["open_unmix"], "sources": ["all"]}, open_unmix.Config))
    alone.targets[0].load_state_dict(first)
    magnitudes = torch.rand(40, 2, 2, 33, generator=rng)
    torch.testing.assert_close(network.inner(magnitudes), alone.eval().inner(magnitudes) * 3)


def test_the_order_of_the_sources_is_that_of_the_output_and_nothing_else(rng):
    network, other = small(), small()
    for place, target in zip((2, 0, 1), other.targets, strict=True):
        target.load_state_dict(network.targets[place].state_dict())
    mixture = noise(network, rng)
    torch.testing.assert_close(other(mixture), network(mixture)[:, [2, 0, 1]])


def test_every_source_hears_every_other(rng):
    network = small()
    magnitudes = torch.rand(40, 2, 2, 33, generator=rng)
    before = torch.stack(network.inner(magnitudes))
    network.targets[1].fc1.weight.data.mul_(1.5)
    after = torch.stack(network.inner(magnitudes))
    assert all((after - before).abs().amax((1, 2, 3, 4)) > 1e-3)


def test_one_source_is_not_filtered_for_it_would_get_all_of_the_mixture(rng):
    network, plain = small(sources=["vocals"], iterations=3), small(sources=["vocals"], iterations=0)
    mixture = noise(network, rng)
    assert network(mixture).equal(plain(mixture))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    assert small()(signal(1000)[None]).isfinite().all()


def test_another_shape_is_refused_with_the_one_that_works():
    with pytest.raises(ShapeError, match=r"X-UMX takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(1, 1, 100))


def test_numbers_that_make_no_network_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"this makes no X-UMX: .*hidden_size must be even"):
        Config(hidden_size=511)
