"""What SCNet promises beyond what every network does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import signals
from networks.inner import require_real
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.sparse_bands import Band, Fusion, SparseDown, SparseUp, split
from unbraid.networks.scnet import Attention, Config, SCNet

SMALL = structure(TINY["scnet"], Config)
KINDS = {
    "transformers": {"attention": Attention(depth=2, heads=2, head_channels=6)},
    "masked": {"masked": True},
    "standardized": {"standardized": True},
}


def small(**changes):
    """A small network, all of whose branches are alive."""
    network = SCNet(dataclasses.replace(SMALL, **changes))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def noise(network, rng, *, length=None, batch=2):
    return 0.3 * torch.randn(batch, 2, length or network.spec.segment, generator=rng)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = SCNet().spec
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 11 * 44100)
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert spec.fixed
    assert spec.levelled
    assert not small(levelled=False).spec.levelled


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS.keys())
def test_each_kind_keeps_rows_apart_and_has_no_idle_weight(changes, rng):
    network = small(**changes)
    mixture = noise(network, rng, batch=3)
    mixture[1] *= 100
    together = network(mixture)
    for row in range(3):
        alone = network(mixture[row : row + 1])[0]
        assert (together[row] - alone).norm() < 1e-5 * alone.norm()
    (together * torch.randn(together.shape, generator=rng)).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@pytest.mark.parametrize("changes", [{}, *KINDS.values()], ids=["recurrent", *KINDS])
def test_any_length_is_heard_as_if_silence_followed(changes, rng):
    """As far as the frames that it is filled up to, an even number of them."""
    network = small(**changes)
    for length in (1, 15, 16, 17, 31, 32, 500):
        mixture = noise(network, rng, length=length)
        hops = length // 16 + 1
        filled = torch.nn.functional.pad(mixture, (0, (hops + 1 - hops % 2) * 16 - length - 1))
        estimates = network(mixture)
        assert estimates.shape == (2, 3, 2, length)
        torch.testing.assert_close(estimates, network(filled)[..., :length])


def test_masks_that_are_zero_leave_silence(rng):
    network = small(masked=True)
    for parameter in network.mask_layer[2].parameters():
        parameter.data.zero_()
    assert not network(noise(network, rng)).any()


@torch.no_grad()
def test_the_mean_of_a_standardized_spectrum_is_put_back(rng):
    """Layers that return what they hear give each source the mixture."""
    network = small(standardized=True)
    mixture = noise(network, rng)
    estimates = network.around(lambda heard: (heard.repeat(1, 3, 1, 1),), mixture)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(estimates), rtol=1e-4, atol=1e-4)


def test_bands_come_back_with_the_bins_they_had(rng):
    bands = (Band(0.3, 1, 3, 1), Band(0.3, 2, 4, 1), Band(0.4, 4, 4, 1))
    for bins in range(20, 60):
        x = torch.randn(1, 2, bins, 3, generator=rng)
        parts = SparseDown(2, 5, bands, bins)(x)
        sizes = zip(bands, split(bins, bands), strict=True)
        assert [part.shape[2] for part in parts] == [band.compressed(size) for band, size in sizes]
        assert SparseUp(5, 2, bands, bins)(torch.cat(parts, 2)).shape == x.shape


@torch.no_grad()
def test_a_fusion_is_the_published_one_of_features_given_twice(rng):
    fusion = Fusion(4).double()
    x, skip = torch.randn(2, 2, 4, 9, 7, generator=rng, dtype=torch.float64)
    expected = torch.nn.functional.glu(fusion.conv((x + skip).repeat(1, 2, 1, 1)), dim=1)
    torch.testing.assert_close(fusion(x, skip), expected)


@pytest.mark.parametrize("changes", [{}, *KINDS.values()], ids=["recurrent", *KINDS])
def test_its_layers_are_a_graph_of_real_numbers(changes, rng):
    network = small(**changes)
    require_real(network, noise(network, rng))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
@pytest.mark.parametrize("changes", [{}, *KINDS.values()], ids=["recurrent", *KINDS])
def test_odd_signals_give_finite_estimates(signal, changes):
    network = small(**changes)
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kernel_size": 2}, "kernel_size must be odd"),
        ({"layers": 3}, "layers must be even"),
        ({"layers": 10**9}, "layers must be 0 to 64"),
        ({"widths": ()}, "there must be 1 to 8 widths, not 0"),
        ({"widths": (8,) * 9}, "there must be 1 to 8 widths, not 9"),
        ({"widths": (10**9,)}, "widths must be 1 to 2048"),
        ({"widths": (2, 8)}, "widths must be at least compress"),
        ({"widths": (8,) * 8}, "each band must keep bins at every level"),
        ({"bands": ()}, "there must be 1 to 16 bands"),
        ({"bands": (Band(0.5, 1, 3, 1), Band(0.4, 2, 2, 1))}, "shares of the bands must sum to 1"),
        ({"bands": (Band(0.5, 1, 3, 1), Band(0.5, 2, 3, 1))}, "kernel_size must be a multiple of its stride"),
        ({"bands": (Band(1.0, 1, 3, 99),)}, "a band's depth must be 0 to 16"),
        ({"bands": (Band(1.0, 0, 3, 1),)}, "a band's stride must be 1 to 256"),
        ({"masked": True, "standardized": True}, "masked and standardized exclude each other"),
        ({"hop_length": 40}, "hop_length at most n_fft / 2"),
        ({"n_fft": 2**40}, "n_fft must be 16 to 65536"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(SMALL, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"head_channels": 7}, "head_channels must be even"), ({"heads": 0}, "heads must be 1 to 64")],
)
def test_numbers_that_make_no_transformer_are_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        Attention(**changes)
