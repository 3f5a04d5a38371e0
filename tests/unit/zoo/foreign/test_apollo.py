"""Apollo by its configuration file and by its shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.apollo import Config
from unbraid.zoo.foreign.apollo import config_from_shapes, config_of

GOLDEN = Path(__file__).parents[3] / "golden"
FILE = {
    "audio": {"chunk_size": 132300, "num_channels": 2, "sample_rate": 44100, "min_mean_abs": 0.0},
    "model": {"sr": 44100, "win": 20, "feature_dim": 256, "layer": 6},
    "training": {"instruments": ["restored", "addition"], "target_instrument": "restored"},
}


def test_the_file_of_the_published_network_is_that_of_ours():
    assert structure(config_of(FILE), Config) == Config()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": 256}, "unknown key 'features' in the section 'model'; did you mean feature_dim"),
        ({"win": "20 ms"}, "win must be a whole number, not '20 ms'"),
    ],
)
def test_what_makes_no_network_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of({**FILE, "model": {**FILE["model"], **changes}})


@pytest.mark.parametrize(("name", "channels"), [("apollo", 256), ("apollo_uni", 384)])
def test_shapes_tell_the_published_networks(name, channels):
    shapes = json.loads((GOLDEN / f"{name}.json").read_text())
    found = config_from_shapes({key: tuple(shape) for key, shape in shapes.items()})
    assert structure(found, Config) == Config(channels=channels)


def test_shapes_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="there is no weight BN"):
        config_from_shapes({"first_conv.weight": (128, 16, 1, 1)})
    with pytest.raises(WeightsError, match="not numbered from 0 on"):
        config_from_shapes({"BN.1.1.weight": (256, 11, 1)})
