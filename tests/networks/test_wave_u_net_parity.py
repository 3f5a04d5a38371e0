"""Wave-U-Net against what the published code made with TensorFlow, and against a slow twin in NumPy.

The stored answers are float32's; the twin, which gives them too, is float64, and takes any configuration.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from reference.slow_wave_u_net import lengths, slow_wave_u_net
from unbraid.networks.base import build
from unbraid.networks.wave_u_net import Config
from unbraid.zoo.keymaps.wave_u_net_tensorflow import ARCHITECTURE, configuration, rename
from unbraid.zoo.tensorflow_bundle import read_bundle

pytestmark = pytest.mark.reference

GOLDEN = Path(__file__).parents[1] / "golden/wave_u_net_tensorflow"
CONTEXT = {
    "m1": False,
    "m2": False,
    "m3": True,
    "m4": True,
    "m5": True,
    "m5_without_context": False,
    "m6": True,
}
WANTED = 32  # output samples, as in make_tensorflow_bundle.py


def network_of(variables, **options):
    """The network that a checkpoint describes, with its weights."""
    network = build(ARCHITECTURE, {**configuration(variables, context=options.pop("context")), **options})
    network.to(variables["separator/conv1d/bias"].dtype).load_state_dict(rename(variables))
    return network.eval()


@torch.no_grad()
def heard(network, mixture):
    """Its estimates of one mixture, without the edges that are not to be trusted."""
    edge = network.spec.context
    return network(mixture[None])[0, ..., edge : mixture.shape[-1] - edge].numpy()


@pytest.mark.parametrize("name", CONTEXT)
def test_a_published_checkpoint_gives_what_the_published_code_makes_of_it(name):
    stored = np.load(GOLDEN / f"{name}.npz")
    network = network_of(read_bundle(GOLDEN / name), context=CONTEXT[name], output_length=WANTED)
    estimates = heard(network, torch.from_numpy(stored["mixture"]))
    assert estimates.shape == stored["estimates"].shape
    assert np.abs(estimates - stored["estimates"]).max() < 1e-5


@pytest.mark.parametrize("name", CONTEXT)
def test_the_twin_gives_what_the_published_code_makes(name):
    stored = np.load(GOLDEN / f"{name}.npz")
    variables = {key: value.double().numpy() for key, value in read_bundle(GOLDEN / name).items()}
    mixture = stored["mixture"].astype(np.float64)
    estimates = slow_wave_u_net(variables, mixture, context=CONTEXT[name], difference=name != "m1")
    assert np.abs(estimates - stored["estimates"]).max() < 1e-5


def draw(rng, *, levels, width, audio, down, up, outputs, learned):
    """A checkpoint with lively weights, float64."""
    widths = [width * (level + 1) for level in range(levels + 1)]
    shapes = [(down, source, target) for source, target in itertools.pairwise([audio, *widths])]
    shapes += [(up, skip + below, skip) for skip, below in reversed(list(itertools.pairwise(widths)))]
    shapes += [(1, audio + width, audio)] * outputs
    variables = {}
    for number, shape in enumerate(shapes):
        name = f"separator/conv1d{f'_{number}' if number else ''}"
        scale = (shape[0] * shape[1] / 2) ** -0.5
        variables[f"{name}/kernel"] = torch.randn(shape, generator=rng, dtype=torch.float64) * scale
        variables[f"{name}/bias"] = 0.1 * torch.randn(shape[2], generator=rng, dtype=torch.float64)
    for level, channels in enumerate(reversed(widths[1:]) if learned else ()):
        variables[f"separator/interp_{level}"] = torch.randn(channels, generator=rng, dtype=torch.float64)
    return variables


@pytest.mark.parametrize("learned", [False, True], ids=["linear", "learned"])
@pytest.mark.parametrize("context", [False, True], ids=["same", "context"])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("levels", "width", "audio", "down", "up"),
    [(1, 2, 1, 3, 1), (2, 5, 2, 15, 5), (3, 3, 1, 5, 3), (4, 2, 2, 1, 7)],
)
def test_the_mathematics_is_that_of_the_twin(levels, width, audio, down, up, outputs, context, learned, rng):
    variables = draw(
        rng, levels=levels, width=width, audio=audio, down=down, up=up, outputs=outputs, learned=learned
    )
    network = network_of(variables, context=context, output_length=48)
    length = network.spec.segment
    mixture = 2 * torch.rand(audio, length, generator=rng, dtype=torch.float64) - 1
    arrays = {name: value.numpy() for name, value in variables.items()}
    wanted = slow_wave_u_net(arrays, mixture.numpy(), context=context, difference=outputs % 2 == 1)
    assert wanted.shape[-1] == (lengths(48, levels, down, up)[1] if context else 48)
    assert np.abs(heard(network, mixture) - wanted).max() < 1e-10
    single = heard(network.float(), mixture.float())
    assert np.linalg.norm(single - wanted) < 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize("wanted", [1, 2, 5, 100, 1023, 16384, 16389, 16390, 44100])
@pytest.mark.parametrize(("levels", "down", "up"), [(12, 15, 5), (14, 5, 1), (1, 15, 5), (5, 3, 3)])
def test_lengths_are_those_of_the_published_arithmetic(wanted, levels, down, up):
    config = Config(output_length=wanted, levels=levels, kernel_size=down, up_kernel_size=up)
    bottom, output, taken = lengths(wanted, levels, down, up)
    if bottom >= 2:  # the published code refuses less
        assert (config.lengths[-1], config.lengths[0], config.input_length) == (bottom, output, taken)


def test_the_published_lengths_are_those_of_the_paper():
    assert lengths(16384, 12) == (9, 16389, 147443)
