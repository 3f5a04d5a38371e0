"""MDX23C by its configuration file and by its shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from networks.tiny import PUBLISHED
from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.mdx23c import Config
from unbraid.zoo.foreign.mdx23c import config_from_shapes, config_of

GOLDEN = Path(__file__).parents[3] / "golden"
FILE = {
    "audio": {
        "chunk_size": 261120,
        "dim_f": 4096,
        "dim_t": 256,
        "hop_length": 1024,
        "n_fft": 8192,
        "num_channels": 2,
        "sample_rate": 44100,
        "min_mean_abs": 0.001,
    },
    "model": {
        "act": "gelu",
        "bottleneck_factor": 4,
        "growth": 128,
        "norm": "InstanceNorm",
        "num_blocks_per_scale": 2,
        "num_channels": 128,
        "num_scales": 5,
        "num_subbands": 4,
        "scale": [2, 2],
    },
    "training": {"instruments": ["vocals", "bass", "drums", "other"], "target_instrument": None},
}


def file_with(section, **changes):
    return {**FILE, section: {**FILE[section], **changes}}


def published(name):
    return next(entry for entry in PUBLISHED if entry.name == name)


def test_the_file_of_the_published_network_is_that_of_ours():
    assert structure(config_of(FILE), Config) == Config()


def test_a_target_is_the_only_source():
    assert config_of(file_with("training", target_instrument="bass"))["sources"] == ["bass"]


def test_a_segment_is_counted_in_frames():
    assert config_of(file_with("audio", hop_length=512, chunk_size=523776))["frames"] == 1024
    with pytest.raises(ConfigError, match="segments of 261121 samples and hops of 1024; they must divide"):
        config_of(file_with("audio", chunk_size=261121))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_chanels": 64}, "unknown key 'num_chanels' in the section 'model'; did you mean num_channels"),
        ({"norm": "BatchNorm"}, "norm = BatchNorm; this network has InstanceNorm"),
        ({"act": "elu1"}, "act = elu1; this network has gelu"),
        ({"scale": 2}, "scale = 2; it must be a list"),
    ],
)
def test_what_the_network_does_not_do_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of(file_with("model", **changes))


@pytest.mark.parametrize("instruments", [[], "vocals", [1]])
def test_a_file_without_names_is_refused(instruments):
    with pytest.raises(ConfigError, match="instruments"):
        config_of(file_with("training", instruments=instruments))


@pytest.mark.parametrize(
    "name",
    ["mdx23c", "mdx23c_two", "mdx23c_one", "mdx23c_narrow", "mdx23c_drums", "mdx23c_full_band"],
)
def test_shapes_tell_all_but_names_and_the_transform(name):
    shapes = json.loads((GOLDEN / f"{name}.json").read_text())
    found = config_from_shapes({key: tuple(shape) for key, shape in shapes.items()})
    expected = structure(published(name).config, Config)
    untold = {"n_fft": expected.n_fft, "hop_length": expected.hop_length, "frames": expected.frames}
    assert len(found["sources"]) == len(expected.sources)
    assert structure({**found, **untold, "sources": list(expected.sources)}, Config) == expected


@pytest.mark.parametrize("shapes", [{}, {"first_conv.weight": (4, 4, 1, 1)}])
def test_shapes_of_another_network_are_refused(shapes):
    with pytest.raises(WeightsError, match="there is no weight"):
        config_from_shapes(shapes)
