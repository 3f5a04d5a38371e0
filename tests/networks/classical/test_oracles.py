from __future__ import annotations

import pytest
import torch

import signals
from unbraid.errors import ShapeError
from unbraid.metrics.ratios import sdr
from unbraid.networks.classical import oracles

ORACLES = (oracles.ideal_binary_masks, oracles.ideal_ratio_masks, oracles.multichannel_wiener)


def noises(count, length=20_000):
    return torch.stack([signals.noise(length, seed=seed) for seed in range(count)])


def one_after_the_other():
    references = noises(2)
    references[0, :, 9000:] = 0
    references[1, :, :12_000] = 0  # further apart than a frame is long
    return references


@pytest.mark.parametrize("oracle", ORACLES)
def test_sources_that_never_meet_are_found_exactly(oracle):
    references = one_after_the_other()
    estimates = oracle(references.sum(0), references)
    torch.testing.assert_close(estimates, references, rtol=0, atol=1e-6)


@pytest.mark.parametrize("oracle", ORACLES)
def test_every_oracle_beats_the_mixture_and_the_filter_hears_the_room(oracle):
    references = noises(2)
    references[0, 1] *= 0.1
    references[1, 0] *= 0.1
    mixture = references.sum(0)
    gain = sdr(references, oracle(mixture, references)) - sdr(references, mixture.expand_as(references))
    assert gain.min() > 3


def test_the_filter_is_exact_where_each_source_has_a_channel_of_its_own():
    references = noises(2).double()
    references[0, 1] = references[1, 0] = 0
    estimates = oracles.multichannel_wiener(references.sum(0), references)
    torch.testing.assert_close(estimates, references, rtol=0, atol=1e-8)


@pytest.mark.parametrize("length", [1, 2047, 5000])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("oracle", ORACLES[1:])
def test_shares_add_up_to_the_mixture(oracle, channels, length):
    references = torch.stack([signals.noise(length, channels=channels, seed=seed) for seed in range(3)])
    mixture = references.sum(0)
    estimates = oracle(mixture, references)
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


def test_equal_sources_get_half_each():
    references = noises(1).expand(2, -1, -1)
    mixture = references.sum(0)
    for oracle in ORACLES[1:]:
        torch.testing.assert_close(oracle(mixture, references), references, rtol=0, atol=1e-5)


def test_a_threshold_of_one_half_gives_a_bin_to_both_where_they_are_alike():
    references = noises(1).expand(2, -1, -1)
    mixture = references.sum(0)
    both = oracles.ideal_binary_masks(mixture, references, threshold=0.49)
    torch.testing.assert_close(both, mixture.expand_as(both), rtol=0, atol=1e-6)
    assert not oracles.ideal_binary_masks(mixture, references, threshold=0.51).any()


@pytest.mark.parametrize("oracle", ORACLES)
def test_silence_stays_silent(oracle):
    references = torch.zeros(2, 2, 3000)
    assert not oracle(references[0], references).any()


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("shape", [(2, 2, 99), (2, 100), (2, 1, 100)])
def test_references_of_another_shape_are_refused(oracle, shape):
    with pytest.raises(ShapeError, match="must be"):
        oracle(torch.zeros(2, 100), torch.zeros(shape))
