"""What LaSAFT promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.lasaft import Config, LaSAFT


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = LaSAFT(structure({**TINY["lasaft"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = LaSAFT().spec
    assert spec.sources == ("vocals", "drums", "bass", "other")
    assert (spec.sample_rate, spec.channels) == (44100, 2)
    assert (spec.segment, spec.context) == (127 * 1024, 5 * 1024)  # 128 frames, five hops cut off
    assert spec.fixed
    assert not spec.levelled


def test_a_short_mixture_is_heard_as_if_silence_followed(rng):
    network = small()
    mixture = 0.3 * torch.randn(1, 2, network.spec.segment, generator=rng, dtype=torch.float64)
    for length in (0, 1, network.spec.segment - 1):
        whole = mixture.clone()
        whole[..., length:] = 0
        torch.testing.assert_close(network(mixture[..., :length]), network(whole)[..., :length])


def test_the_order_of_the_embeddings_is_that_of_the_sources(rng):
    network, turned = small(), small()
    turned.embedding.weight.data = network.embedding.weight.data.flip(0)
    mixture = 0.3 * torch.randn(2, 2, network.spec.segment, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(turned(mixture), network(mixture).flip(1), rtol=1e-12, atol=1e-12)


def test_without_the_last_weights_all_is_silence(rng):
    network = small()
    for parameter in network.last_conv.parameters():
        parameter.data.zero_()
    mixture = torch.randn(1, 2, network.spec.segment, generator=rng, dtype=torch.float64)
    assert not network(mixture).any()


def test_the_engine_uses_no_sample_of_the_context(rng):
    network = small().float()
    segment, edge = network.spec.segment, network.spec.context
    core = segment - 2 * edge
    mixture = 0.1 * torch.randn(2, 3 * core, generator=rng)
    stream = Stream(EagerBackend(network, network.spec), Plan.for_spec(network.spec, overlap=0))
    streamed = torch.cat([stream.push(mixture), stream.finish()], dim=-1)
    padded = torch.nn.functional.pad(mixture, (edge, edge))
    windows = padded.unfold(-1, segment, core).transpose(0, 1)
    expected = torch.cat(list(network(windows)[..., edge:-edge]), dim=-1)
    torch.testing.assert_close(streamed, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small().float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


def test_a_longer_mixture_is_refused_with_the_length_that_works():
    network = small()
    with pytest.raises(ShapeError, match=f"takes at most {network.spec.segment} at once"):
        network(torch.zeros(1, 2, network.spec.segment + 1))


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": 8}, "blocks and kernel_size must be odd"),
        ({"kernel_size": 2}, "blocks and kernel_size must be odd"),
        ({"frames": 120}, r"multiples of 2\^\(blocks // 2\)"),
        ({"n_fft": 4096 + 16}, r"multiples of 2\^\(blocks // 2\)"),
        ({"trimmed_frames": 64}, "frames must be more than twice trimmed_frames"),
        ({"sources": ("vocals",)}, "two sources or more"),
        ({"hop_length": 3000}, "a hop of 3000 were asked for"),
        ({"latent_sources": 10**9}, "latent_sources must be 1 to 64"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
