"""Bandit against both published versions, with weights as their files have them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from networks.tiny import lively
from reference.published_bandit import first, second
from unbraid.dsp.stft import Padding
from unbraid.networks.bandit import Bandit, Config, Recurrence
from unbraid.networks.layers.musical_bands import musical_bands
from unbraid.zoo.keymaps.bandit import rename

pytestmark = pytest.mark.reference

SMALL = Config(
    n_fft=64, hop_length=16, bands=8, features=6, layers=2, hidden_size=5, mask_hidden_size=7, segment=1000
)
SECOND = dataclasses.replace(
    SMALL, sample_rate=48000, padding=Padding.REFLECT, sources=("speech", "music", "sfx")
)


def pair(published, config):
    """Ours and a published network with equal weights, all of whose branches are alive."""
    theirs = published(config)
    fixed = {name: value for name, value in theirs.state_dict().items() if "freq" in name or "window" in name}
    state = theirs.state_dict()
    theirs.load_state_dict({**lively(state), **fixed})
    ours = Bandit(config)
    ours.load_state_dict(rename(theirs.state_dict()))
    return ours.eval(), theirs.eval()


def distance(estimate, reference):
    return ((estimate.double() - reference.double()).norm() / reference.double().norm()).item()


@pytest.mark.parametrize("recurrence", Recurrence)
@pytest.mark.parametrize("length", [1000, 517, 20])
@torch.no_grad()
def test_the_first_version_is_ours(recurrence, length, rng):
    ours, theirs = pair(first, dataclasses.replace(SMALL, recurrence=recurrence))
    mixture = torch.randn(2, 2, length, generator=rng)
    expected = theirs(mixture.view(4, 1, length)).view(2, 2, 3, length).transpose(1, 2)
    assert distance(ours(mixture), expected) < 1e-5  # float32 is all it has


@pytest.mark.parametrize("length", [1000, 517])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@torch.no_grad()
def test_the_second_version_is_ours(length, rng):
    ours, theirs = pair(second, SECOND)
    mixture = torch.randn(2, 2, length, generator=rng)
    assert distance(ours(mixture), theirs(mixture.clone())) < 1e-5


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(("n_fft", "count"), [(2048, 64), (2048, 48), (4096, 100), (1024, 17), (64, 8)])
def test_bands_are_the_published_ones(rate, n_fft, count):
    config = dataclasses.replace(SMALL, sample_rate=rate, n_fft=n_fft, bands=count)
    theirs = first(config)
    assert list(musical_bands(rate, n_fft, count)) == theirs.band_specs
    coverage = torch.zeros(n_fft // 2 + 1)
    for start, end in config.table:
        coverage[start:end] += 1
    for (start, end), weights in zip(theirs.band_specs, theirs.freq_weights, strict=True):
        torch.testing.assert_close(weights.float(), 1 / coverage[start:end])
