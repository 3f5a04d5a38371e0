"""Bandit by its configuration file and by its shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unbraid.config import structure
from unbraid.dsp.stft import Padding
from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.bandit import Config, Recurrence
from unbraid.zoo.foreign.bandit import config_from_shapes, config_of

GOLDEN = Path(__file__).parents[3] / "golden"
SHARED = {
    "n_bands": 64,
    "require_no_overlap": False,
    "require_no_gap": True,
    "normalize_channel_independently": False,
    "treat_channel_as_feature": True,
    "n_sqm_modules": 8,
    "emb_dim": 128,
    "rnn_dim": 256,
    "bidirectional": True,
    "rnn_type": "GRU",
    "mlp_dim": 512,
    "hidden_activation": "Tanh",
    "hidden_activation_kwargs": None,
    "complex_mask": True,
    "n_fft": 2048,
    "win_length": 2048,
    "hop_length": 512,
    "window_fn": "hann_window",
    "wkwargs": None,
    "power": None,
    "center": True,
    "normalized": True,
    "onesided": True,
}
FIRST = {
    "audio": {"chunk_size": 264600, "num_channels": 2, "sample_rate": 44100, "min_mean_abs": 0.001},
    "model": {
        **SHARED,
        "in_channel": 1,
        "stems": ["speech", "music", "effects"],
        "band_specs": "musical",
        "fs": 44100,
        "pad_mode": "constant",
    },
}
SECOND = {
    "audio": {"chunk_size": 384000, "num_channels": 2, "sample_rate": 48000},
    "kwargs": {
        **SHARED,
        "in_channels": 1,
        "stems": ["speech", "music", "sfx"],
        "band_type": "musical",
        "fs": 48000,
        "use_freq_weights": True,
        "pad_mode": "reflect",
    },
}


def test_the_file_of_the_first_version_is_that_of_ours():
    assert structure(config_of(FIRST), Config) == Config()


def test_the_file_of_the_second_version_is_that_of_ours():
    expected = Config(
        sources=("speech", "music", "sfx"), sample_rate=48000, segment=384_000, padding=Padding.REFLECT
    )
    assert structure(config_of(SECOND), Config) == expected


def test_what_a_file_does_not_say_is_what_the_published_class_has():
    found = config_of({"model": {"stems": ["speech"], "n_bands": 48}})
    assert structure(found, Config) == Config(
        sources=("speech",), bands=48, layers=12, recurrence=Recurrence.LSTM
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"emb_dims": 64}, "unknown key 'emb_dims' in the section 'model'; did you mean emb_dim"),
        ({"in_channel": 2}, "asks for in_channel = 2; this network has 1"),
        ({"band_specs": "mel"}, "asks for band_specs = mel; this network has musical"),
        ({"win_length": 1024}, "asks for win_length = 1024; this network has 2048"),
        ({"stems": "speech"}, "stems = speech; it must be a list"),
        ({"stems": [1]}, "has stems .*; they must be names"),
    ],
)
def test_what_our_network_does_not_do_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of({**FIRST, "model": {**FIRST["model"], **changes}})


def test_a_recurrence_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="recurrence"):
        structure(config_of({"model": {"stems": ["speech"], "rnn_type": "RNN"}}), Config)


def shapes():
    golden = json.loads((GOLDEN / "bandit.json").read_text(encoding="utf-8"))
    return {name: tuple(shape) for name, shape in golden.items()}


def test_shapes_tell_the_published_network():
    found = structure(config_from_shapes(shapes()), Config)
    assert sorted(found.sources) == ["effects", "music", "speech"]
    assert found == Config(sources=found.sources)


def test_shapes_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="there is no weight"):
        config_from_shapes({"first_conv.weight": (128, 16, 1, 1)})
    other = {**shapes(), "band_split.norm_fc_modules.5.norm.weight": (100,)}
    with pytest.raises(WeightsError, match="no frame has musical bands of"):
        config_from_shapes(other)
