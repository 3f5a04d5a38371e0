"""BSRNN as its public program describes it, and as the shapes of its weights tell."""

from __future__ import annotations

import pytest
import torch

from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError
from unbraid.networks.bsrnn import BASS_BANDS, BSRNN, DRUMS_BANDS, Config
from unbraid.zoo.foreign.bsrnn import bands_of, config_from_shapes, config_of

HIGH = [[4000, 250], [8000, 500], [16000, 1000]]
# As published beside the weights for vocals.
FILE = {
    "model": {
        "sr": 44100,
        "n_fft": 2048,
        "bandsplits": [[1000, 100], *HIGH, [20000, 2000]],
        "t_timesteps": 263,
        "bottleneck_layer": "rnn",
        "fc_dim": 128,
        "rnn_dim": 256,
        "rnn_type": "LSTM",
        "bidirectional": True,
        "num_layers": 12,
        "mlp_dim": 512,
        "return_mask": False,
        "complex_as_channel": True,
        "is_mono": False,
    },
    "featurizer": {"direct_transform": {"n_fft": 2048, "win_length": 2048, "hop_length": 512}},
    "audio_params": {"target": "vocals", "is_mono": False, "sr": 44100, "win_size": 3},
}


def shapes_of(config):
    with torch.device("meta"):
        network = BSRNN(config)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_the_published_file_is_our_default():
    assert structure(config_of(FILE), Config) == Config()


@pytest.mark.parametrize(
    ("splits", "bands"),
    [
        ([[500, 50], [1000, 100], [4000, 500], [8000, 1000], [16000, 2000]], BASS_BANDS),
        ([[1000, 50], [2000, 100], *HIGH], DRUMS_BANDS),
    ],
)
def test_frequencies_become_bands_of_bins(splits, bands):
    assert tuple(bands_of(splits, 44100, 2048)) == bands


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rnn_dmi": 4}, "unknown key 'rnn_dmi' in the section 'model'; did you mean rnn_dim"),
        ({"rnn_type": "GRU"}, "rnn_type is 'GRU'; only 'LSTM' is known"),
        ({"bottleneck_layer": "att"}, "bottleneck_layer is 'att'"),
        ({"bandsplits": [[1000, 0]]}, "1 Hz wide at least"),
    ],
)
def test_what_we_cannot_make_is_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        config_of({**FILE, "model": {**FILE["model"], **change}})


def test_a_missing_key_is_named():
    model = {key: value for key, value in FILE["model"].items() if key != "fc_dim"}
    with pytest.raises(ConfigError, match="missing key 'fc_dim'"):
        config_of({**FILE, "model": model})


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(bands=BASS_BANDS, depth=2, audio_channels=1),
        Config(channels=16, hidden=4, depth=1, mask_channels=8, joint=False),
    ],
    ids=["published", "mono", "norms of single frames"],
)
def test_a_network_is_known_by_its_shapes(config):
    found = structure(config_from_shapes(shapes_of(config)), Config)
    assert unstructure(found) == unstructure(config)


def test_other_weights_are_refused():
    with pytest.raises(ConfigError, match="these are not the weights of a BSRNN"):
        config_from_shapes({"encoder.0.weight": (4, 4)})
