"""The magnitude transformer against a slow twin in NumPy: there is no published one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networks.tiny import TINY, lively
from reference.slow_magnitude_transformer import slow_magnitude_transformer
from unbraid.config import unstructure
from unbraid.networks.base import build
from unbraid.networks.magnitude_transformer import Above, Output

pytestmark = pytest.mark.reference

# Changes to the tiny configuration, and a number of samples.
CASES = [
    pytest.param({}, 100, id="tiny"),
    pytest.param(
        {"widths": [5], "frames": 8, "layers": 1, "bass_layers": 4, "audio_channels": 1}, 1, id="flat"
    ),
    pytest.param(
        {"widths": [3, 5], "bins": 32, "heads": 1, "layers": 4, "bass_token_size": 6, "hop_length": 32},
        240,
        id="wide",
    ),
    pytest.param({"bins": 16, "skip_channels": 5, "audio_channels": 3, "bass_layers": 2}, 113, id="low"),
]


def relative(estimates, wanted):
    return np.linalg.norm(estimates - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("above", Above)
@pytest.mark.parametrize(("changes", "length"), CASES)
@torch.no_grad()
def test_the_mathematics_is_that_of_the_twin(changes, length, output, above, rng):
    config = {**TINY["magnitude_transformer"], **changes, "output": output, "above": above}
    network = build("magnitude_transformer", config)
    network.load_state_dict(lively(network.state_dict()))
    network.double().eval()
    mixture = torch.randn(network.spec.channels, length, generator=rng, dtype=torch.float64)
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    wanted = slow_magnitude_transformer(arrays, unstructure(network.config), mixture.numpy())
    assert np.abs(network(mixture[None])[0].numpy() - wanted).max() < 1e-10
    assert relative(network.float()(mixture[None].float())[0].numpy(), wanted) < 1e-5
