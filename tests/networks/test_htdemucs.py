"""What HT Demucs promises beyond what every network does."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.htdemucs import Config, HTDemucs


@pytest.fixture
def network():
    network = HTDemucs(structure(TINY["htdemucs"], Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = HTDemucs().spec
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 343980)
    assert spec.fixed
    assert spec.levelled


@pytest.mark.parametrize("length", [0, 1, 2, 63, 64, 65, 500, 999])
def test_a_short_mixture_is_heard_as_if_silence_followed(network, rng, length):
    short = torch.randn(1, 2, length, generator=rng)
    whole = torch.cat([short, torch.zeros(1, 2, 1000 - length)], dim=-1)
    assert network(short).equal(network(whole)[..., :length])


@pytest.mark.parametrize("length", [1, 2, 64, 65, 127, 1000, 1001, 2500])
def test_training_takes_a_batch_at_its_own_length(network, rng, length):
    mixture = torch.randn(2, 2, length, generator=rng)
    estimates = network.train()(mixture)
    assert estimates.shape == (2, 2, 2, length)
    assert estimates.isfinite().all()


def test_training_differs_from_evaluation_by_its_dropout_alone(rng):
    config = dataclasses.replace(structure(TINY["htdemucs"], Config), t_dropout=0.0)
    network = HTDemucs(config)
    mixture = torch.randn(1, 2, 1000, generator=rng)
    torch.testing.assert_close(network.train()(mixture), network.eval()(mixture), rtol=0, atol=1e-6)


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(network, signal):
    assert network(signal(1000)[None]).isfinite().all()


def test_a_longer_mixture_is_refused_with_the_length_that_works(network):
    with pytest.raises(ShapeError, match="1001 samples; HT Demucs takes at most 1000"):
        network(torch.zeros(1, 2, 1001))


def test_an_empty_batch_cannot_be_trained_on(network):
    with pytest.raises(ShapeError, match="no samples"):
        network.train()(torch.zeros(1, 2, 0))


@pytest.mark.parametrize("shape", [(2, 1000), (1, 1, 1000), (1, 2, 2, 1000)])
def test_another_shape_is_refused_with_the_one_that_works(network, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 4}, "at least dconv_comp"),
        ({"depth": 5}, "depth must be 1 to 4, not 5"),
        ({"depth": 0}, "depth must be 1 to 4, not 0"),
        ({"depth": 10**9}, "depth must be 1 to 4"),
        ({"stride": 0}, "stride must be 2 to 64"),
        ({"t_heads": 0}, "t_heads must be 1 to"),
        ({"t_layers": 10**6}, "t_layers must be 0 to"),
        ({"dconv_depth": 10**7, "n_fft": 2**62}, "n_fft must be .*; dconv_depth must be"),
        ({"segment": Fraction(10**18)}, "segment must be 0 to 600"),
        ({"t_hidden_scale": float("nan")}, "t_hidden_scale must be .* not nan"),
        ({"growth": 10**400}, "growth must be 1 to 8, not 10{39}$"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
        ({"kernel_size": 4}, "kernel_size twice"),
        ({"n_fft": 4096 + 256}, r"multiple of 2 · stride\^depth"),
        ({"n_fft": 512}, "more bins than kernel_size"),
        ({"t_heads": 3}, "multiple of 4 and of t_heads"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)


def test_the_segment_is_exact():
    assert Config().segment_samples == 343_980
    assert Config(segment=Fraction(11)).segment_samples == 485_100


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor made while it is on, in values."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        tensors = made if isinstance(made, (tuple, list)) else [made]
        self.values = max(self.values, *(t.numel() for t in tensors if isinstance(t, torch.Tensor)), 0)
        return made


def test_attention_scores_are_never_held_at_full_size(rng):
    network = HTDemucs().eval()
    with torch.no_grad(), Largest() as largest:
        network(0.1 * torch.randn(1, 2, 343_980, generator=rng))
    assert largest.values <= 2 * 48 * 512 * 336  # the gated convolution of the last decoder
    assert largest.values < 8 * 2688 * 2688
