"""What BS-Mamba2 and TS-BSMamba2 say of themselves, keep, and refuse."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks import bs_mamba2, ts_bs_mamba2
from unbraid.networks.bs_mamba2 import BSMamba2
from unbraid.networks.ts_bs_mamba2 import Pointwise, TSBSMamba2


def small(network, module, **changes):
    """A small network, all of whose branches are alive."""
    made = network(structure({**TINY[module.__name__.rpartition(".")[2]], **changes}, module.Config))
    made.load_state_dict(lively(made.state_dict()))
    return made.eval()


def test_they_say_of_themselves_what_the_engine_must_know():
    with torch.device("meta"):
        one, four = BSMamba2().spec, TSBSMamba2().spec
    assert (one.sources, one.segment, one.sample_rate, one.channels) == (("vocals",), 352_800, 44100, 2)
    assert (four.sources, four.segment) == (("vocals", "bass", "drums", "other"), 132_300)
    assert one.limit == four.limit == 60 * 44100


def test_bands_are_the_published_ones():
    bands = ts_bs_mamba2.Config().bands
    assert bands == (2,) * 20 + (4,) * 10 + (11,) * 8 + (23,) * 8 + (46,) * 8 + (92,) * 2 + (1025 - 904,)
    assert len(bands) == 57
    assert len(bs_mamba2.Config().bands) == 62


@torch.no_grad()
def test_masks_of_all_sources_are_one_in_sum(rng):
    network = small(TSBSMamba2, ts_bs_mamba2)
    parts = torch.randn(1, 2, 5, 2, 513, generator=rng)
    masks, rests = network.inner(parts)
    whole = masks.sum(-2)  # (B, C, N, 2, F)
    torch.testing.assert_close(whole[..., 0, :], torch.ones_like(whole[..., 0, :]))
    torch.testing.assert_close(whole[..., 1, :], torch.zeros_like(whole[..., 1, :]), atol=1e-5, rtol=0)
    assert rests.abs().mean() > 0.1


@torch.no_grad()
def test_without_additions_the_estimates_make_the_mixture(rng):
    network = small(TSBSMamba2, ts_bs_mamba2)
    for decoder in network.map:
        for parameter in decoder[5].parameters():
            parameter.zero_()
    mixture = 0.1 * torch.randn(1, 2, 3000, generator=rng)
    torch.testing.assert_close(network(mixture).sum(1), mixture, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_channels_hear_of_each_other_and_are_treated_alike(rng):
    network = small(TSBSMamba2, ts_bs_mamba2)
    mixture = 0.1 * torch.randn(1, 2, 3000, generator=rng)
    both = network(mixture)
    torch.testing.assert_close(network(mixture.flip(1)).flip(2), both, atol=1e-4, rtol=1e-3)
    mixture[:, 1] *= -3
    assert (network(mixture)[:, :, 0] - both[:, :, 0]).norm() > 1e-3 * both[:, :, 0].norm()


@pytest.mark.parametrize("groups", [1, 3])
def test_a_layer_of_tokens_is_the_convolution_whose_weights_it_has(groups, rng):
    layer = Pointwise(6, 12, groups)
    tokens = torch.randn(2, 5, 6, generator=rng)
    expected = torch.nn.Conv1d.forward(layer, tokens.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(layer(tokens), expected)


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
@pytest.mark.parametrize(("network", "module"), [(BSMamba2, bs_mamba2), (TSBSMamba2, ts_bs_mamba2)])
@torch.no_grad()
def test_odd_signals_give_finite_estimates(network, module, signal):
    made = small(network, module)
    assert made(signal(made.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize(("network", "module"), [(BSMamba2, bs_mamba2), (TSBSMamba2, ts_bs_mamba2)])
def test_another_shape_is_refused_with_the_one_that_works(network, module):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        small(network, module)(torch.zeros(1, 1, 3000))


@pytest.mark.parametrize(
    ("module", "change", "words"),
    [
        (bs_mamba2, {"head_size": 48}, "head_size must divide expansion × channels"),
        (bs_mamba2, {"bands": (1024,)}, "bands must hold 1025 bins together.* not 1024"),
        (bs_mamba2, {"bands": (1025, 0)}, "each of one bin or more"),
        (bs_mamba2, {"depth": 10**9}, "depth must be 1 to 64"),
        (bs_mamba2, {"hop_length": 2000}, "hop_length at most n_fft / 2"),
        (ts_bs_mamba2, {"sample_rate": 32000}, "half of sample_rate must be above 20 kHz"),
        (ts_bs_mamba2, {"n_fft": 512, "hop_length": 128}, "50 Hz must be a bin at least"),
        (ts_bs_mamba2, {"channels": 100}, "head_size must divide"),
        (ts_bs_mamba2, {"state_size": 2**40}, "state_size must be 1 to 1024"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(module, change, words):
    with pytest.raises(ConfigError, match=words):
        module.Config(**change)
