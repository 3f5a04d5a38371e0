"""SCNet by its configuration file and by its shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from networks.tiny import PUBLISHED
from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.scnet import Attention, Config
from unbraid.zoo.foreign.scnet import config_from_shapes, config_of
from unbraid.zoo.keymaps.scnet import rename

GOLDEN = Path(__file__).parents[3] / "golden"
SOURCES = ["drums", "bass", "other", "vocals"]
MODEL = {
    "sources": SOURCES,
    "audio_channels": 2,
    "dims": [4, 64, 128, 256],
    "nfft": 4096,
    "hop_size": 1024,
    "win_size": 4096,
    "normalized": True,
    "band_SR": [0.225, 0.372, 0.403],
    "band_stride": [1, 4, 16],
    "band_kernel": [3, 4, 16],
    "conv_depths": [3, 2, 1],
    "compress": 4,
    "conv_kernel": 3,
    "num_dplayer": 6,
    "expand": 1,
}
TRAN = {
    "tran_rotary_embedding_dim": 64,
    "tran_depth": 1,
    "tran_heads": 8,
    "tran_dim_head": 64,
    "tran_attn_dropout": 0.0,
    "tran_ff_dropout": 0.1,
    "tran_flash_attn": False,
}


def file_with(**changes):
    """A configuration file, parsed, with other entries in its section `model`."""
    return {
        "audio": {"chunk_size": 485100, "num_channels": 2, "sample_rate": 44100, "min_mean_abs": 0.0},
        "model": {**MODEL, **changes},
        "training": {"instruments": SOURCES, "target_instrument": None, "batch_size": 6},
        "inference": {"batch_size": 8, "dim_t": 256, "num_overlap": 4, "normalize": False},
    }


def published(name):
    return next(entry for entry in PUBLISHED if entry.name == name)


def shapes_of(name):
    return {key: tuple(shape) for key, shape in json.loads((GOLDEN / f"{name}.json").read_text()).items()}


def test_the_file_of_the_large_network_is_that_of_our_large_network():
    config = structure(config_of(file_with()), Config)
    expected = structure({**published("scnet_large").config, "levelled": False}, Config)
    assert config == expected


def test_a_file_that_says_little_means_the_published_small_network():
    file = {"training": {"instruments": SOURCES}, "inference": {"normalize": True}}
    assert structure(config_of(file), Config) == Config()


def test_transformers_are_read():
    config = structure(config_of(file_with(**TRAN)), Config)
    assert config.attention == Attention(dropout=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_dplayers": 6}, "unknown key 'num_dplayers' in the section 'model'; did you mean num_dplayer"),
        ({"normalized": False}, "normalized = False; this network has True"),
        ({"win_size": 2048}, "win_size = 2048; this network has 4096"),
        ({"dims": [6, 64]}, r"dims .* begin with a spectrum's 4 parts"),
        ({"dims": 64}, "dims = 64; it must be a list"),
        ({"band_kernel": [3, 4]}, "lists of bands are not of one length"),
        ({"sources": SOURCES[:3]}, "the network estimates 3 sources"),
        ({**TRAN, "tran_rotary_embedding_dim": 32}, "tran_rotary_embedding_dim = 32; this network has 64"),
    ],
)
def test_what_the_network_does_not_do_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of(file_with(**changes))


@pytest.mark.parametrize("model", [[1], "scnet"])
def test_a_section_that_is_none_is_refused(model):
    with pytest.raises(ConfigError, match=r"the section 'model' must hold keys with values"):
        config_of({"model": model})


@pytest.mark.parametrize(
    "name",
    [
        "scnet",
        "scnet_large",
        "scnet_xl",
        "scnet_xl_ihf",
        "scnet_masked",
        "scnet_masked_xl_ihf",
        "scnet_tran",
    ],
)
def test_shapes_tell_which_published_network_it_is(name):
    found = structure(config_from_shapes(shapes_of(name)), Config)
    expected = structure({**published(name).config, "sources": list(found.sources)}, Config)
    assert found == expected
    assert len(found.sources) == 4


def test_shapes_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="there is no weight encoder"):
        config_from_shapes({"first_conv.weight": (128, 16, 1, 1)})


def test_the_published_convolution_that_is_never_used_is_left_out():
    assert rename({"first_conv.weight": 1, "encoder.0.globalconv.bias": 2}) == {
        "encoder.0.globalconv.bias": 2
    }
