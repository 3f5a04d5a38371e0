"""What MMDenseLSTM promises beyond what every network does, and its agreement with a slow twin in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import signals
from networks.tiny import TINY, lively
from reference.slow_mm_dense_lstm import slow_mm_dense_lstm
from unbraid.config import structure
from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.base import parameter_count
from unbraid.networks.mm_dense_lstm import Branch, Config, MMDenseLSTM

PLAIN = {"layers": [2], "hidden": [0], "features": 2, "growth": 3}


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = MMDenseLSTM(structure({**TINY["mm_dense_lstm"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


VARIANTS = {
    "tiny": {},
    "mono, one band": {"audio_channels": 1, "edges": [], "bands": [{**PLAIN, "hidden": [5]}]},
    "memory in every block": {"full": {"features": 3, "growth": 2, "layers": [1] * 7, "hidden": [2] * 7}},
    "three bands, one bin alone": {"edges": [5, 32], "bands": [PLAIN, {**PLAIN, "growth": 1}, PLAIN]},
}


@pytest.mark.reference
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("frames", [1, 2, 7, 24])
@torch.no_grad()
def test_the_mathematics_is_that_of_the_twin(changes, frames, rng):
    network = small(**changes)
    config = network.config
    magnitudes = torch.rand(2, config.audio_channels, frames, config.bins, generator=rng, dtype=torch.float64)
    separated = network.separated(magnitudes)
    single = network.float().separated(magnitudes.float())
    for source, target in enumerate(network.double().targets):
        weights = {name: value.numpy() for name, value in target.state_dict().items()}
        for row in range(2):
            expected = slow_mm_dense_lstm(
                weights, magnitudes[row].numpy(), edges=(*config.edges, config.bins)
            )
            assert np.abs(separated[row, source].numpy() - expected).max() < 1e-10
            distance = np.linalg.norm(single[row, source].numpy() - expected)
            assert distance < 1e-5 * np.linalg.norm(expected)


@torch.no_grad()
def test_estimates_are_the_magnitudes_after_the_filter(rng):
    network = small()
    mixture = 0.3 * torch.randn(1, 2, 500, generator=rng, dtype=torch.float64)
    spectrum = network.stft(mixture)
    spectra = WienerFilter()(network.separated(spectrum.abs().mT).mT, spectrum)
    expected = network.stft.inverse(spectra, 500)
    torch.testing.assert_close(network(mixture), expected)
    unfiltered = small(iterations=0)(mixture)
    assert (unfiltered - expected).norm() > 0.01 * expected.norm()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        network = MMDenseLSTM()
    spec = network.spec
    assert spec.sources == ("vocals", "drums", "bass", "other")
    assert (spec.sample_rate, spec.channels, spec.context) == (44100, 2, 0)
    assert (spec.segment, spec.longest) == (1200 * 1024 - 1, 3600 * 44100)


def test_without_memory_it_is_the_size_of_the_authors_network_without_memory():
    with torch.device("meta"):
        target = MMDenseLSTM(Config(sources=("vocals",))).targets[0]
    remembered = sum(
        parameter.numel() for name, parameter in target.named_parameters() if "recurrence" in name
    )
    assert parameter_count(target) == 1_373_315
    assert parameter_count(target) - remembered == 319_726


@pytest.mark.parametrize("length", [1, 15, 16, 639])
@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal, length):
    estimates = small().float()(signal(length)[None])
    assert estimates.shape == (1, 3, 2, length)
    assert estimates.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edges": (380,)}, "one band more than edges"),
        ({"edges": (1024, 380)}, "edges must rise and lie between 0 and 2049"),
        ({"edges": (380, 2049)}, "edges must rise and lie between 0 and 2049"),
        ({"hop_length": 3000}, "a hop of 3000 were asked for"),
        ({"frames": 0}, "frames must be 1 to 65536"),
        ({"full": Branch(8, 7, (3, 3), (0, 0))}, "of one odd length"),
        ({"full": Branch(8, 7, (3,), (0, 0, 0))}, "of one odd length"),
        ({"full": Branch(8, 7, (3,) * 19, (0,) * 19)}, "halve 8 times at most"),
        ({"full": Branch(8, 7, (0,), (0,))}, "layers or a recurrence"),
        ({"full": Branch(8, 7, (99,), (0,))}, "layers must be 0 to 16"),
        ({"full": Branch(8, 7, (1,), (10**9,))}, "hidden must be 0 to 4096"),
        ({"full": Branch(0, 7, (1,), (1,))}, "features must be 1 to 1024"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
