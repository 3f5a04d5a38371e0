"""What MDX23C promises beyond what every network does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import signals
from networks.inner import require_real
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.mdx23c import MDX23C, Config

SMALL = structure(TINY["mdx23c"], Config)


def small(**changes):
    """A small network, all of whose branches are alive."""
    network = MDX23C(dataclasses.replace(SMALL, **changes))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def noise(network, rng, *, length=None):
    return 0.3 * torch.randn(2, 2, length or network.spec.segment, generator=rng)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = MDX23C().spec
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 261_120)
    assert spec.fixed
    assert not spec.levelled


@pytest.mark.parametrize("length", [1, 47, 200, 367])
def test_a_short_mixture_is_heard_as_if_silence_followed(length, rng):
    network = small()
    mixture = noise(network, rng)
    mixture[..., length:] = 0
    torch.testing.assert_close(network(mixture[..., :length]), network(mixture)[..., :length])


@pytest.mark.parametrize(("bin_", "heard"), [(5, True), (14, True), (18, False), (28, False)])
def test_bins_above_those_looked_at_are_neither_heard_nor_made(bin_, heard):
    network = small(bins=16)
    time = torch.arange(network.spec.segment)
    tone = torch.cos(2 * torch.pi * (bin_ * time % 64) / 64).expand(1, 2, -1)
    estimates = network.around(lambda parts: (parts.repeat(1, 3, 1, 1),), tone)
    expected = tone[:, None].expand_as(estimates) * heard
    # Beyond its end the tone is mirrored, which is no tone.
    torch.testing.assert_close(estimates[..., :300], expected[..., :300], rtol=0, atol=1e-4)


@torch.no_grad()
def test_layers_that_return_what_they_hear_give_the_mixture(rng):
    network = small(n_fft=62)
    mixture = noise(network, rng)
    estimates = network.around(lambda heard: (heard.repeat(1, 3, 1, 1),), mixture)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(estimates))


def test_its_layers_are_a_graph_of_real_numbers(rng):
    network = small()
    require_real(network, noise(network, rng))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small()(torch.zeros(shape))


def test_a_mixture_that_is_too_long_is_refused_with_the_length_that_works():
    with pytest.raises(ShapeError, match="369 samples; this MDX23C takes at most 368 at once"):
        small()(torch.zeros(1, 2, 369))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bins": 34}, "bins must be at most 33, which n_fft makes"),
        ({"bins": 28}, r"bins must be a multiple of subbands · scale\^levels"),
        ({"frames": 26}, r"frames must be a multiple of scale\^levels"),
        ({"frames": 4, "bins": 8}, "the deepest level must have more than one point"),
        ({"frames": 2, "levels": 0}, "a segment must be longer than half a frame"),
        ({"bottleneck": 5}, "bottleneck must be at most the bins of the deepest level"),
        ({"scale": (2,)}, "scale must be two factors of 1 to 8"),
        ({"scale": (2, 10**9)}, "scale must be two factors of 1 to 8"),
        ({"levels": 10**9}, "levels must be 0 to 10"),
        ({"hop_length": 40}, "hop_length at most n_fft / 2"),
        ({"n_fft": 2**40, "channels": 0}, "n_fft must be .*; channels must be"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(SMALL, **changes)
