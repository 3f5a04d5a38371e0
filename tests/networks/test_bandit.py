"""What Bandit says of itself, how it treats channels and bands, and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.bandit import Bandit, Config
from unbraid.networks.layers.musical_bands import musical_bands
from unbraid.zoo.keymaps.bandit import rename

# As published for 64 bands: the lowest, some from the middle, and the highest.
LOWEST = ((0, 3), (1, 3), (1, 3), (1, 3), (1, 3), (1, 3), (1, 4), (1, 4), (2, 4), (2, 4), (2, 5), (3, 5))
MIDDLE = {(27, 35), (81, 103), (305, 381), (425, 530)}
HIGHEST = ((737, 917), (823, 1024), (918, 1025))


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = Bandit(structure({**TINY["bandit"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def noise(network, rng, *, batch=1):
    shape = (batch, network.spec.channels, network.spec.segment)
    return 0.1 * torch.randn(shape, generator=rng, dtype=torch.float64)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = Bandit().spec
    assert spec.sources == ("speech", "music", "effects")
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 264_600)
    assert spec.limit == 60 * 44100
    assert not spec.levelled


@pytest.mark.parametrize("rate", [44100, 48000])
def test_published_bands_are_those_of_the_paper(rate):
    bands = musical_bands(rate, 2048, 64)
    assert bands[:12] == LOWEST
    assert set(bands) > MIDDLE
    assert len(bands) == 64
    assert bands[-3:] == HIGHEST


@pytest.mark.parametrize("count", [2, 3, 8, 31, 64, 200])
def test_every_bin_is_in_a_band_and_bands_rise(count):
    bands = musical_bands(44100, 512, count)
    assert (bands[0][0], bands[-1][1]) == (0, 257)
    assert list(bands) == sorted(bands)
    assert all(start <= end for (_, end), (start, _) in itertools.pairwise(bands))


def test_each_channel_is_separated_on_its_own(rng):
    network = small()
    mixture = noise(network, rng)
    both = network(mixture)
    swapped = network(mixture.flip(1))
    torch.testing.assert_close(swapped.flip(2), both)
    silenced = mixture.clone()
    silenced[:, 1] = 0
    torch.testing.assert_close(network(silenced)[:, :, 0], both[:, :, 0])


def test_masks_of_one_give_the_mixture(rng):
    network = small()
    mixture = noise(network, rng)
    coverage = network._coverage(torch.zeros(1, dtype=torch.complex128))

    def ones(parts):
        masks = torch.zeros(len(parts), 2, parts.shape[1], parts.shape[3], 2, dtype=parts.dtype)
        masks[..., 0] = coverage[:, 0]  # each band's mask is one
        return (masks,)

    estimates = network.around(ones, mixture)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(estimates))


def test_weights_that_have_our_names_stay_as_they_are():
    state = small().state_dict()
    assert rename(state).keys() == state.keys()
    assert all(rename(state)[name] is state[name] for name in state)


def test_a_lightning_checkpoint_of_training_is_named_as_ours():
    state = small().state_dict()
    kept = {f"model.bsrnn.{name}": value for name, value in state.items()}
    kept |= {
        "model.stft.window": torch.ones(4),
        "model.bsrnn.mask_estim.speech.freq_weights/0": torch.ones(3),
    }
    assert rename(kept).keys() == state.keys()


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small().float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"Bandit takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bands": 1}, "bands must be 2 to 256"),
        ({"n_fft": 32_768, "bands": 8, "hop_length": 4000, "layers": 999}, "layers must be 0 to 64"),
        ({"n_fft": 2048, "hop_length": 2000}, "hop_length at most n_fft / 2"),
        ({"sources": ("speech", "ad.lib")}, "a source is named 'ad.lib'"),
        ({"sample_rate": 8, "n_fft": 64, "hop_length": 16, "bands": 8}, "8 musical bands leave out bin 33"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(Config(), **change)
