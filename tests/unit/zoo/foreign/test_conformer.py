"""Conformer by its configuration file and by its shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.conformer import Config
from unbraid.zoo.foreign.conformer import config_from_shapes, config_of

GOLDEN = Path(__file__).parents[3] / "golden"
FILE = {
    "audio": {"chunk_size": 264600, "num_channels": 2, "sample_rate": 44100},
    "stft": {"n_fft": 4096, "hop_length": 1024, "win_length": 4096, "center": True},
    "model": {
        "in_channels": 2,
        "sources": 2,
        "freq_bins": 2049,
        "embed_dim": 512,
        "depth": 8,
        "dim_head": 64,
        "heads": 8,
        "ff_mult": 4,
        "conv_expansion_factor": 2,
        "conv_kernel_size": 31,
        "attn_dropout": 0.1,
        "ff_dropout": 0.1,
        "conv_dropout": 0.1,
    },
    "training": {"instruments": ["vocals", "other"]},
}


def test_the_file_of_the_published_network_is_that_of_ours():
    assert structure(config_of(FILE), Config) == Config()


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("model", {"embed": 512}, "unknown key 'embed' in the section 'model'"),
        ("model", {"sources": 4}, "the network estimates 4 sources"),
        ("model", {"freq_bins": 1025}, "freq_bins = 1025; this network has 2049"),
        ("stft", {"centre": True}, "unknown key 'centre' in the section 'stft'; did you mean center"),
        ("stft", {"center": False}, "center = False; this network has True"),
        ("stft", {"win_length": 2048}, "win_length = 2048; this network has 4096"),
        ("stft", {"n_fft": "long"}, "n_fft must be a whole number, not 'long'"),
    ],
)
def test_what_our_network_does_not_do_is_refused_by_name(name, changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of({**FILE, name: {**FILE[name], **changes}})


def test_shapes_tell_the_published_network():
    golden = json.loads((GOLDEN / "conformer.json").read_text(encoding="utf-8"))
    found = config_from_shapes({name: tuple(shape) for name, shape in golden.items()})
    assert structure(found, Config) == Config(sources=("source_1", "source_2"))


def test_shapes_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="there is no weight"):
        config_from_shapes({"first_conv.weight": (128, 16, 1, 1)})
