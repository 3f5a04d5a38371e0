"""What MDX-Net promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.tfc_tdf import Norm
from unbraid.networks.mdx_net import Config, MDXNet, Target

SMALL = Target(n_fft=96, bins=32, frames=32, levels=2, channels=4)
KUIELAB_B = (
    Target(n_fft=16384),
    Target(n_fft=4096, frames=128, levels=4),
    Target(n_fft=8192),
    Target(n_fft=6144),
)


def network_of(config):
    """A network in float64, all of whose branches are alive."""
    network = MDXNet(config)
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def small(**changes):
    """A network of one small target."""
    return network_of(Config(**{"targets": (SMALL,), "hop_length": 16, **changes}))


def noise(network, rng, *, length=None, batch=1):
    shape = (batch, network.spec.channels, length or network.spec.segment)
    return 0.3 * torch.randn(shape, generator=rng, dtype=torch.float64)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = MDXNet().spec
        four = MDXNet(
            Config(sources=("bass", "drums", "other", "vocals"), targets=KUIELAB_B, mixer=True)
        ).spec
    assert (spec.sample_rate, spec.channels, spec.segment, spec.context) == (44100, 2, 261_120, 3072)
    assert (four.segment, four.context) == (261_120, 8192)
    assert not spec.fixed
    assert not spec.levelled
    assert spec.limit == 3600 * 44100


@pytest.mark.parametrize("length", [1, 47, 200, 495])
def test_a_short_mixture_is_heard_as_if_silence_followed(length, rng):
    network = small()
    mixture = noise(network, rng)
    mixture[..., length:] = 0
    assert network(mixture[..., :length]).equal(network(mixture)[..., :length])


def test_the_rest_and_the_compensated_estimates_make_the_mixture(rng):
    network = small(sources=("vocals", "accompaniment"), rest=True, compensate=1.35)
    mixture = noise(network, rng, batch=2)
    vocals, rest = network(mixture).unbind(1)
    torch.testing.assert_close(1.35 * vocals + rest, mixture)


def test_what_the_network_adds_on_its_own_cancels(rng):
    network = small(denoise=True)
    assert not network(torch.zeros(1, 2, network.spec.segment, dtype=torch.float64)).any()
    assert small()(torch.zeros(1, 2, network.spec.segment, dtype=torch.float64)).any()
    mixture = noise(network, rng)
    torch.testing.assert_close(network(-mixture), -network(mixture))
    plain = small()
    torch.testing.assert_close(network(mixture), (plain(mixture) - plain(-mixture)) / 2)


def test_bins_that_are_silenced_are_not_heard(rng):
    mixture = noise(small(), rng)
    direct = 0.2  # in bins 0 and 1 alone, as the window has it
    for low_cut, deaf in ((0, False), (1, False), (2, True)):
        network = small(low_cut=low_cut)
        change = (network(mixture + direct) - network(mixture)).abs().max()
        assert (change < 1e-12) == deaf


def test_without_weights_all_is_silence(rng):
    network = small(sources=("vocals", "accompaniment"), rest=True)
    for parameter in network.targets[0].final_conv.parameters():
        parameter.data.zero_()
    mixture = noise(network, rng)
    vocals, rest = network(mixture).unbind(1)
    assert not vocals.any()
    assert rest.equal(mixture)


def test_a_mixer_can_pass_estimates_or_give_the_mixture(rng):
    network = network_of(structure({**TINY["mdx_net"], "rest": False, "sources": ["a", "b"]}, Config))
    mixture = noise(network, rng)
    weight = network.mixer.linear.weight.data
    weight.copy_(torch.eye(6, dtype=torch.float64)[:4])
    alone = torch.stack([target(mixture, network.spec.context) for target in network.targets], dim=1)
    torch.testing.assert_close(network(mixture), alone)
    weight.copy_(torch.eye(2, 6, dtype=torch.float64).roll(4, 1).repeat(2, 1))
    torch.testing.assert_close(network(mixture), mixture[:, None].expand(-1, 2, -1, -1))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small().float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel_size": 2}, "kernel_size must be odd"),
        ({"bins": 2049}, r"bins and frames must be multiples of 2\^levels"),
        ({"frames": 255}, r"bins and frames must be multiples of 2\^levels"),
        ({"bins": 4096}, "bins must be at most 3073"),
        ({"bottleneck": 65}, "bottleneck must be 0 to the bins"),
        ({"bottleneck": -1}, "bottleneck must be 0 to the bins"),
        ({"levels": 10**9}, "levels must be 0 to 10"),
        ({"n_fft": 2**40, "channels": 0}, "n_fft must be .*; channels must be"),
    ],
)
def test_numbers_that_make_no_target_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Target(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ("a", "b")}, "a target for each source, but for the rest"),
        ({"sources": ("a",), "rest": True}, "a target for each source, but for the rest"),
        ({"targets": ()}, "a target for each source"),
        ({"targets": (Target(n_fft=65536, frames=64),)}, "a segment must be longer"),
        ({"targets": (Target(n_fft=6142),), "hop_length": 4096}, "hop_length at most n_fft / 2"),
        ({"targets": (Target(channels=3),), "norm": Norm.GROUP}, "channels must be even"),
        ({"compensate": -1.0}, "compensate must be 0 to 100"),
        ({"hop_length": 2**30}, "hop_length must be 1 to 32768"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
