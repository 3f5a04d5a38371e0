"""RoFormers as Music-Source-Separation-Training describes them, and as the shapes of their weights tell."""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY
from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError
from unbraid.networks import bs_roformer as bs
from unbraid.networks import mel_band_roformer as mel
from unbraid.networks.base import build
from unbraid.networks.layers.axial_transformer import Position
from unbraid.zoo.foreign import bs_roformer, mel_band_roformer
from unbraid.zoo.keymaps.roformer import rename

# As published with `model_bs_roformer_ep_317_sdr_12.9755.ckpt`.
VIPERX = {
    "audio": {
        "chunk_size": 352800,
        "dim_f": 1024,
        "dim_t": 801,
        "hop_length": 441,
        "n_fft": 2048,
        "num_channels": 2,
        "sample_rate": 44100,
        "min_mean_abs": 0.0,
    },
    "model": {
        "dim": 512,
        "depth": 12,
        "stereo": True,
        "num_stems": 1,
        "time_transformer_depth": 1,
        "freq_transformer_depth": 1,
        "linear_transformer_depth": 0,
        "freqs_per_bands": [2] * 24 + [4] * 12 + [12] * 8 + [24] * 8 + [48] * 8 + [128, 129],
        "dim_head": 64,
        "heads": 8,
        "attn_dropout": 0.1,
        "ff_dropout": 0.1,
        "flash_attn": True,
        "dim_freqs_in": 1025,
        "stft_n_fft": 2048,
        "stft_hop_length": 441,
        "stft_win_length": 2048,
        "stft_normalized": False,
        "mask_estimator_depth": 2,
        "multi_stft_resolution_loss_weight": 1.0,
        "multi_stft_resolutions_window_sizes": [4096, 2048, 1024, 512, 256],
        "multi_stft_hop_size": 147,
        "multi_stft_normalized": False,
    },
    "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals", "use_amp": True},
    "inference": {"batch_size": 4, "dim_t": 801, "num_overlap": 2},
}
# As published with `MelBandRoformer.ckpt`.
KIM = {
    **VIPERX,
    "model": {
        **{key: value for key, value in VIPERX["model"].items() if key != "freqs_per_bands"},
        "dim": 384,
        "depth": 6,
        "num_bands": 60,
        "attn_dropout": 0,
        "ff_dropout": 0,
        "sample_rate": 44100,
    },
}
FILES = {"bs": (bs_roformer, bs.Config, VIPERX), "mel": (mel_band_roformer, mel.Config, KIM)}
SIX = ["bass", "drums", "other", "vocals", "guitar", "piano"]


def changed(file, section, **values):
    return {**file, section: {**file[section], **values}}


def shapes_of(architecture, config):
    with torch.device("meta"):
        network = build(architecture, config)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_the_published_files_are_our_defaults_but_for_training():
    found = structure(bs_roformer.config_of(VIPERX), bs.Config)
    assert found == bs.Config(attention_dropout=0.1, dropout=0.1)
    assert structure(mel_band_roformer.config_of(KIM), mel.Config) == mel.Config()


def test_what_a_file_leaves_out_is_as_in_its_program():
    least = {"model": {"dim": 64, "depth": 2}, "training": {"instruments": ["vocals"]}}
    expected = {"time_layers": 2, "band_layers": 2, "hop_length": 512, "audio_channels": 1, "depth": 2}
    found = structure(bs_roformer.config_of(least), bs.Config)
    assert found == bs.Config(channels=64, mask_layers=1, **expected)
    found = structure(mel_band_roformer.config_of(least), mel.Config)
    dropped = {"attention_dropout": 0.1, "dropout": 0.1}
    assert found == mel.Config(channels=64, mask_layers=1, **dropped, **expected)


@pytest.mark.parametrize("kind", FILES)
def test_several_sources_are_the_instruments_in_our_spelling(kind):
    reader, _, file = FILES[kind]
    several = changed(
        changed(file, "model", num_stems=2),
        "training",
        instruments=["Lead Vocal", "wind-chimes"],
        target_instrument=None,
    )
    assert reader.config_of(several)["sources"] == ["lead_vocal", "wind_chimes"]


def test_the_segment_is_that_of_inference_where_it_is_said():
    assert bs_roformer.config_of(changed(VIPERX, "inference", chunk_size=882_000))["segment"] == 882_000


def test_masks_positions_and_biases_are_counted_as_ours():
    file = changed(VIPERX, "model", mask_estimator_depth=3, use_pope=True, use_shared_bias=True)
    found = structure(bs_roformer.config_of(file), bs.Config)
    assert (found.mask_layers, found.position.value, found.bias) == (2, "polar", True)
    file = changed(KIM, "model", mask_estimator_depth=3, match_input_audio_length=True)
    assert mel_band_roformer.config_of(file)["mask_layers"] == 3


@pytest.mark.parametrize(
    ("kind", "section", "values", "words"),
    [
        (
            "bs",
            "model",
            {"dim_haed": 64},
            "unknown key 'dim_haed' in the section 'model'; did you mean dim_head",
        ),
        ("bs", "model", {"num_bands": 60}, "unknown key 'num_bands'"),
        ("bs", "model", {"stft_win_length": 1024}, "stft_win_length is 1024 and stft_n_fft 2048"),
        ("bs", "model", {"num_stems": 3}, "estimates 3 sources, but the section 'training' names"),
        ("bs", "model", {"num_stems": "1"}, "num_stems must be a whole number, not '1'"),
        ("mel", "model", {"freqs_per_bands": [2]}, "unknown key 'freqs_per_bands' in the section"),
        ("mel", "model", {"sample_rate": 48000}, "bands are those of 48000 Hz, but its audio has 44100"),
    ],
)
def test_what_we_cannot_make_is_refused_by_name(kind, section, values, words):
    reader, _, file = FILES[kind]
    with pytest.raises(ConfigError, match=words):
        reader.config_of(changed(file, section, **values))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ({}, "missing key 'dim'"),
        ({"model": {"dim": 1}}, "missing key 'depth'"),
        ({"model": [1]}, "must hold keys"),
    ],
)
def test_a_file_that_describes_no_network_is_refused(file, words):
    with pytest.raises(ConfigError, match=words):
        bs_roformer.config_of(file)


# What no shape tells.
BLIND = {"sources", "segment", "hop_length", "normalized", "skip_connection", "zero_dc", "sample_rate"}


def compared(config):
    return {key: value for key, value in unstructure(config).items() if key not in BLIND}


@pytest.mark.parametrize(
    "config",
    [
        bs.Config(),
        bs.Config(channels=256, sources=tuple(SIX), bias=True),
        bs.Config(channels=32, depth=2, audio_channels=1, mask_layers=0),
        bs.Config(channels=32, depth=2, position=Position.POLAR, mask_layers=3, mask_expansion=1),
        structure({**TINY["bs_roformer"], "n_fft": 2048, "hop_length": 512, "bands": [25, 1000]}, bs.Config),
    ],
    ids=["published", "six sources", "mono", "polar", "all there is"],
)
def test_a_bs_roformer_is_known_by_its_shapes(config):
    config = structure(unstructure(config), bs.Config)
    found = structure(bs_roformer.config_from_shapes(shapes_of("bs_roformer", config)), bs.Config)
    assert compared(found) == compared(config)
    assert len(found.sources) == len(config.sources)


@pytest.mark.parametrize(
    "config",
    [
        mel.Config(),
        mel.Config(channels=192, depth=8, mask_layers=1),
        mel.Config(channels=32, depth=2, audio_channels=1, n_fft=4096, bands=64),
        mel.Config(channels=32, depth=2, sample_rate=48000, bands=32, sources=("a", "b")),
    ],
    ids=["published", "first generation", "mono", "another rate"],
)
def test_a_mel_band_roformer_is_known_by_its_shapes(config):
    shapes = shapes_of("mel_band_roformer", config)
    found = structure(mel_band_roformer.config_from_shapes(shapes), mel.Config)
    assert compared(found) == compared(config)
    assert found.sample_rate == config.sample_rate
    assert len(found.sources) == len(config.sources)


@pytest.mark.parametrize("reader", [bs_roformer, mel_band_roformer])
def test_other_weights_are_refused(reader):
    with pytest.raises(ConfigError, match="these are not the weights of a"):
        reader.config_from_shapes({"encoder.0.weight": (4, 4)})


def test_bands_that_no_mel_scale_makes_are_refused():
    shapes = shapes_of("bs_roformer", bs.Config(channels=32, depth=2))
    with pytest.raises(ConfigError, match=r"these 62 bands are .*; no mel bands"):
        mel_band_roformer.config_from_shapes(shapes)


def test_biases_that_layers_share_become_those_of_each_layer():
    config = structure({**TINY["bs_roformer"], "linear_layers": 0}, bs.Config)
    state = build("bs_roformer", config).state_dict()
    for name in state:
        if name.endswith(("to_qkv.bias", "to_out.0.bias")):
            state[name] = torch.full_like(state[name], 2.0 if "to_qkv" in name else 3.0)
    published = {name: value for name, value in state.items() if "to_qkv.bias" not in name}
    published |= {"linear_62_bias_0": torch.full((48,), 2.0), "linear_64_bias_0": torch.full((16,), 3.0)}
    published["freq_indices"] = torch.arange(3)
    found = rename(published)
    assert found.keys() == state.keys()
    assert all(found[name].equal(value) for name, value in state.items())
