"""LaSAFT against what the published code made, and against a slow twin in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from networks.tiny import TINY, lively
from reference.slow_lasaft import slow_lasaft
from unbraid.config import structure
from unbraid.dsp.stft import Stft
from unbraid.networks.lasaft import Config, LaSAFT
from unbraid.zoo.load import load

pytestmark = pytest.mark.reference

GOLDEN = Path(__file__).parents[1] / "golden"


@torch.no_grad()
def test_a_published_checkpoint_gives_what_the_published_code_makes_of_it():
    stored = np.load(GOLDEN / "lasaft.npz")
    network = load(GOLDEN / "lasaft.ckpt")
    answers = network.separated(torch.from_numpy(stored["features"])).numpy()
    assert answers.shape == stored["answers"].shape == (1, 4, 4, 32, 33)
    assert np.linalg.norm(answers - stored["answers"]) < 2e-6 * np.linalg.norm(stored["answers"])


VARIANTS = {
    "tiny": {},
    "one level, mono, wide": {"blocks": 3, "audio_channels": 1, "channels": 7, "kernel_size": 5},
    "three levels, a layer each": {"blocks": 7, "block_layers": 1, "latent_sources": 1},
    "two sources, short control": {"sources": ["a", "b"], "control_layers": 1, "bottleneck_factor": 1},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
@torch.no_grad()
def test_the_mathematics_is_that_of_the_twin(changes, rng):
    config = structure({**TINY["lasaft"], **changes}, Config)
    network = LaSAFT(config)
    network.load_state_dict(lively(network.state_dict()))
    network.double().eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    for frames in (8, 16, 24):
        shape = (2, 2 * config.audio_channels, frames, config.n_fft // 2 + 1)
        features = torch.randn(shape, generator=rng, dtype=torch.float64)
        separated = network.separated(features).numpy()
        for row, source in np.ndindex(2, len(config.sources)):
            expected = slow_lasaft(weights, features[row].numpy(), source)
            assert np.abs(separated[row, source] - expected).max() < 1e-10


@torch.no_grad()
def test_features_are_real_then_imaginary_parts_of_all_channels(rng):
    network = LaSAFT(structure(TINY["lasaft"], Config))
    network.load_state_dict(lively(network.state_dict()))
    network.double().eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    mixture = 0.1 * torch.randn(1, 2, network.spec.segment, generator=rng, dtype=torch.float64)
    stft = Stft(network.config.n_fft, network.config.hop_length)
    left, right = stft(mixture)[0].numpy()  # (F, N)
    features = np.stack([left.real.T, right.real.T, left.imag.T, right.imag.T])
    for source, estimate in enumerate(network(mixture)[0]):
        real_left, real_right, imag_left, imag_right = slow_lasaft(weights, features, source)
        spectrum = np.stack([(real_left + 1j * imag_left).T, (real_right + 1j * imag_right).T])
        expected = stft.inverse(torch.from_numpy(spectrum), mixture.shape[-1])
        torch.testing.assert_close(estimate, expected, rtol=1e-9, atol=1e-9)
