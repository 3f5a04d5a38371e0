"""What the Conformer says of itself, and what it refuses."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.conformer import Config, Conformer
from unbraid.networks.layers.conformer_block import RelativeAttention


def small():
    """A small network, all of whose branches are alive."""
    network = Conformer(structure(TINY["conformer"], Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = Conformer().spec
    assert (spec.sources, spec.channels, spec.sample_rate) == (("vocals", "other"), 2, 44100)
    assert spec.limit == 60 * 44100


@pytest.mark.parametrize("count", [1, 5, 600])
@torch.no_grad()
def test_each_pair_of_tokens_has_the_vector_of_its_distance(count, rng):
    layer = RelativeAttention(6, 2, 3).double()
    queries = torch.randn(1, 2, count, 3, generator=rng, dtype=torch.float64)
    place = torch.arange(count)
    vectors = layer.rel_pos_emb((place[:, None] - place).clamp(-512, 512) + 512)  # (N, N, D)
    expected = torch.einsum("bhnd,nmd->bhnm", queries, vectors) / 3**0.5
    torch.testing.assert_close(layer._nearness(queries, 0, count), expected)
    later = count // 2
    torch.testing.assert_close(layer._nearness(queries[:, :, later:], later, count), expected[:, :, later:])


@torch.no_grad()
def test_masks_of_one_give_the_mixture(rng):
    mixture = torch.randn(1, 2, 3000, generator=rng)

    def ones(magnitudes):
        masks = torch.zeros(*magnitudes.shape[:2], 2, 2, *magnitudes.shape[2:])
        masks[:, :, 0] = 1
        return (masks,)

    estimates = small().around(ones, mixture)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(estimates), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
@torch.no_grad()
def test_odd_signals_give_finite_estimates(signal):
    assert small()(signal(3000)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 65}, "depth must be 1 to 64"),
        ({"channels": 0, "heads": 0}, "channels must be .*; heads must be"),
        ({"hop_length": 4096}, "hop_length at most n_fft / 2"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
