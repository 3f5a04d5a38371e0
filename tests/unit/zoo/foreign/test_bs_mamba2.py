"""BS-Mamba2 and TS-BSMamba2 by their configuration files and by their shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unbraid.config import structure
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks import bs_mamba2 as one_stage
from unbraid.networks import ts_bs_mamba2 as two_stages
from unbraid.zoo.foreign import bs_mamba2, ts_bs_mamba2

GOLDEN = Path(__file__).parents[3] / "golden"
ONE = {
    "audio": {"chunk_size": 352800, "num_channels": 2, "sample_rate": 44100, "hop_length": 441},
    "model": {
        "dim": 256,
        "depth": 6,
        "stereo": True,
        "num_stems": 1,
        "time_module_depth": 1,
        "freq_module_depth": 1,
        "freqs_per_bands": list(one_stage.Config().bands),
        "dim_head": 64,
        "heads": 8,
        "attn_dropout": 0.1,
        "flash_attn": True,
        "stft_n_fft": 2048,
        "stft_hop_length": 441,
        "stft_win_length": 2048,
        "stft_normalized": False,
        "mask_estimator_depth": 2,
        "module_type": "mamba2",
    },
    "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals"},
}
TWO = {
    "audio": {"chunk_size": 132300, "num_channels": 2, "sample_rate": 44100},
    "model": {
        "sr": 44100,
        "win": 2048,
        "stride": 512,
        "feature_dim": 128,
        "num_repeat_mask": 8,
        "num_repeat_map": 4,
        "num_output": 4,
    },
    "training": {"instruments": ["vocals", "bass", "drums", "other"], "target_instrument": None},
}


def shapes(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return {key: tuple(shape) for key, shape in golden.items()}


def test_files_of_the_published_networks_are_those_of_ours():
    assert structure(bs_mamba2.config_of(ONE), one_stage.Config) == one_stage.Config()
    assert structure(ts_bs_mamba2.config_of(TWO), two_stages.Config) == two_stages.Config()


def test_what_a_file_does_not_say_is_what_the_published_class_has():
    file = {
        "model": {"dim": 64, "depth": 2, "module_type": "mamba2"},
        "training": {"instruments": ["vocals"]},
    }
    found = structure(bs_mamba2.config_of(file), one_stage.Config)
    assert found == one_stage.Config(channels=64, depth=2, hop_length=512, audio_channels=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"module_type": "mamba2-roformer"}, "module_type = mamba2-roformer; this network has mamba2"),
        ({"mamba_gmlp": True}, "mamba_gmlp = True; this network has False"),
        ({"num_stems": 3}, "the network estimates 3 sources"),
        ({"mask_estimator_depth": "two"}, "mask_estimator_depth must be a whole number, not 'two'"),
        ({"depths": 2}, "unknown key 'depths' in the section 'model'; did you mean depth"),
        ({"freqs_per_bands": 62}, "freqs_per_bands = 62; it must be a list"),
    ],
)
def test_what_a_bs_mamba2_does_not_do_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        bs_mamba2.config_of({**ONE, "model": {**ONE["model"], **changes}})


def test_a_kind_that_is_not_said_is_the_one_that_the_class_falls_back_to():
    with pytest.raises(ConfigError, match="module_type = transformer"):
        bs_mamba2.config_of({**ONE, "model": {"dim": 256, "depth": 6}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_output": 2}, "the network estimates 2 sources"),
        ({"hop": 512}, "unknown key 'hop' in the section 'model'"),
    ],
)
def test_what_a_ts_bs_mamba2_does_not_do_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        ts_bs_mamba2.config_of({**TWO, "model": {**TWO["model"], **changes}})


def test_shapes_tell_the_published_networks():
    one = structure(bs_mamba2.config_from_shapes(shapes("bs_mamba2")), one_stage.Config)
    assert one == one_stage.Config(sources=("source_1",))
    two = structure(ts_bs_mamba2.config_from_shapes(shapes("ts_bs_mamba2_2stems")), two_stages.Config)
    assert two == two_stages.Config(sources=("source_1", "source_2"))


@pytest.mark.parametrize("module", [bs_mamba2, ts_bs_mamba2])
def test_shapes_of_another_network_are_refused(module):
    with pytest.raises(WeightsError, match="there is no weight"):
        module.config_from_shapes({"first_conv.weight": (128, 16, 1, 1)})
