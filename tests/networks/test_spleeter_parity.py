"""Spleeter against what the published program made with TensorFlow, an independent U-Net, and a slow twin.

The stored answers are float32's; the twin, which gives them too, is float64, and takes any configuration.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from networks.tiny import lively
from reference.slow_spleeter import slow_spleeter
from reference.torchspleeter_unet import UNet as Published
from unbraid.config import structure
from unbraid.networks.base import build
from unbraid.networks.spleeter import Config, Spleeter, UNet
from unbraid.zoo.keymaps.spleeter_tensorflow import ARCHITECTURE, configuration, rename
from unbraid.zoo.keymaps.spleeter_torch import rename as rename_torch
from unbraid.zoo.tensorflow_bundle import read_bundle

pytestmark = pytest.mark.reference

GOLDEN = Path(__file__).parents[1] / "golden/spleeter_tensorflow"
SIZES = {"n_fft": 256, "hop_length": 64, "frames": 64, "bins": 64}  # as in make_spleeter_tensorflow.py
EVERY = 11
ANSWERS = {
    "2stems": ("2stems", {}),
    "4stems": ("4stems", {}),
    "5stems": ("5stems", {}),
    "more_bins": ("2stems", {"bins": 128}),
    "average": ("4stems", {"extension": "average", "exponent": 1.0}),
    "filter": ("4stems", {"wiener_iters": 1}),
}


def network_of(variables, **options):
    """The network that a checkpoint describes, with its weights."""
    network = build(ARCHITECTURE, {**configuration(variables), **SIZES, **options})
    network.load_state_dict(rename(variables))
    return network.eval()


def relative(estimates, wanted):
    return np.linalg.norm(np.asarray(estimates, dtype=np.float64) - wanted) / np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def answers():
    return np.load(GOLDEN / "answers.npz")


@pytest.fixture
def mixture(answers):
    return torch.from_numpy(answers["mixture"] / np.float32(128))


@pytest.mark.parametrize("name", ANSWERS)
@torch.no_grad()
def test_a_checkpoint_gives_what_the_published_program_makes_of_it(name, answers, mixture):
    model, options = ANSWERS[name]
    estimates = network_of(read_bundle(GOLDEN / model), **options)(mixture[None])[0, ..., ::EVERY]
    assert estimates.shape == answers[name].shape
    assert relative(estimates, answers[name]) < 2e-6


def twin(variables, mixture, config):
    """The twin's estimates for a configuration."""
    return slow_spleeter(
        {name: value.double().numpy() for name, value in variables.items()},
        mixture.double().numpy(),
        len(config.sources),
        frame=config.n_fft,
        step=config.hop_length,
        frames=config.frames,
        bins=config.bins,
        elu=config.encoder == "elu",
        softmax=config.softmax,
        exponent=config.exponent,
        average=config.extension == "average",
    )


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"filter"}))
def test_the_twin_gives_what_the_published_program_makes(name, answers, mixture):
    model, options = ANSWERS[name]
    variables = read_bundle(GOLDEN / model)
    config = structure({**configuration(variables), **SIZES, **options}, Config)
    assert relative(twin(variables, mixture, config)[..., ::EVERY], answers[name]) < 2e-6


PARTS = {"weight": "kernel", "bias": "bias"}
NORM_PARTS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def theirs(state):
    """A network's weights as TensorFlow's variables, without the norm behind the bottom."""
    variables, numbers = {}, {"conv2d": {}, "conv2d_transpose": {}, "batch_normalization": {}}
    for name, weight in state.items():
        layer, _, part = name.rpartition(".")
        up, norm = ".up." in layer, layer.endswith("norm")
        kind = "batch_normalization" if norm else "conv2d_transpose" if up else "conv2d"
        number = numbers[kind].setdefault(layer, len(numbers[kind]))
        if norm:  # those that are missing count
            number += int(layer.split(".")[1]) + up
        key = f"{kind}_{number}" if number else kind
        variables[f"{key}/{(NORM_PARTS if norm else PARTS)[part]}"] = (
            weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight
        )
    return variables


VARIANTS = [
    {"sources": ("a", "b", "c")[:count], "softmax": softmax, "extension": extension, "decoder": decoder}
    for count, softmax, extension, decoder in itertools.product(
        (1, 3), (False, True), ("zeros", "average"), ("relu", "elu")
    )
]


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_the_mathematics_is_that_of_the_twin(options, rng):
    encoder = "elu" if options["decoder"] == "elu" else "leaky"
    sizes = {"n_fft": 32, "hop_length": 8, "frames": 16, "bins": 12, "widths": (3, 5)}
    config = structure({**sizes, **options, "encoder": encoder, "exponent": 1.5}, Config)
    network = Spleeter(config).eval()
    network.load_state_dict(lively(network.state_dict()))
    variables = theirs(network.state_dict())
    for length in (1, 7, 8, 9, 96, 97, 333):
        mixture = torch.randn(2, length, generator=rng, dtype=torch.float64)
        wanted = twin(variables, mixture, config)
        assert relative(network.double()(mixture[None])[0], wanted) < 1e-10
        assert relative(network.float()(mixture[None].float())[0], wanted) < 1e-5


def published(seed=0):
    """An independent U-Net with lively weights, and ours with the same."""
    ours, oracle = UNet(Config()), Published()
    state = oracle.state_dict()
    counters = {name: value for name, value in state.items() if name.endswith("num_batches_tracked")}
    oracle.load_state_dict({**lively(state, seed), **counters})
    ours.load_state_dict(rename_torch(oracle.state_dict()))
    return ours.eval(), oracle.eval()


@pytest.mark.parametrize(("frames", "bins"), [(64, 64), (64, 192), (128, 64)])
@torch.no_grad()
def test_the_u_net_is_that_of_an_independent_implementation(frames, bins, rng):
    ours, oracle = published()
    magnitudes = torch.rand(2, 2, frames, bins, generator=rng) * 10
    wanted = oracle.double()(magnitudes.double()).numpy()
    assert relative(ours.double()(magnitudes.double()).sigmoid() * magnitudes, wanted) < 1e-12
    assert relative(ours.float()(magnitudes).sigmoid() * magnitudes, wanted) < 1e-5
