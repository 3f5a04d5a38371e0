"""Networks around pictures as YAML files describe them, and as their weights do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unbraid.config import structure
from unbraid.errors import ConfigError
from unbraid.networks import segm as segm_network
from unbraid.networks import swin_upernet as swin_network
from unbraid.networks import torchseg as torchseg_network
from unbraid.zoo.foreign import segm, swin_upernet, torchseg
from unbraid.zoo.keymaps.renames import RENAMES

GOLDEN = Path(__file__).parents[3] / "golden"
AUDIO = {
    "chunk_size": 261632,
    "dim_f": 4096,
    "dim_t": 512,
    "hop_length": 512,
    "n_fft": 8192,
    "num_channels": 2,
    "sample_rate": 44100,
    "min_mean_abs": 0.001,
}
TRAINING = {"instruments": ["vocals", "other"], "target_instrument": "vocals", "lr": 5e-5}
MODEL = {"act": "gelu", "num_channels": 128, "num_subbands": 8}
SEGM = {
    **MODEL,
    "encoder_name": "tu-maxvit_large_tf_512",
    "decoder_type": "unet",
    "encoder_weights": "imagenet",
}
KINDS = {
    "segm": (segm, segm_network.Config, SEGM),
    "torchseg": (
        torchseg,
        torchseg_network.Config,
        {**SEGM, "encoder_name": "maxvit_tiny_tf_512", "num_channels": 16},
    ),
    "swin_upernet": (swin_upernet, swin_network.Config, {**MODEL, "num_channels": 16}),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request):
    return request.param


def test_the_published_files_describe_the_published_networks(kind):
    module, config, model = kind
    found = module.config_of({"audio": AUDIO, "model": model, "training": TRAINING, "inference": {}})
    assert structure(found, config) == config()


def test_without_a_target_all_instruments_are_sources(kind):
    module, config, model = kind
    training = {**TRAINING, "target_instrument": None}
    found = module.config_of({"audio": AUDIO, "model": model, "training": training})
    assert structure(found, config).sources == ("vocals", "other")


def test_an_unknown_key_is_refused_with_the_nearest(kind):
    module, _, model = kind
    with pytest.raises(
        ConfigError, match="unknown key 'num_subband' in the section 'model'; did you mean num_subbands"
    ):
        module.config_of({"audio": AUDIO, "model": {**model, "num_subband": 8}, "training": TRAINING})
    with pytest.raises(ConfigError, match="unknown key 'dim_g' in the section 'audio'"):
        module.config_of({"audio": {**AUDIO, "dim_g": 8}, "model": model, "training": TRAINING})


def test_a_missing_section_is_named(kind):
    with pytest.raises(ConfigError, match="no section audio and no training"):
        kind[0].config_of({"model": {}})


@pytest.mark.parametrize("name", KINDS)
def test_shapes_tell_the_sizes(name):
    module, config, _ = KINDS[name]
    shapes = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = module.config_from_shapes({key: tuple(shape) for key, shape in shapes.items()})
    assert found["sources"] == ["source_1"]
    assert structure({**found, "sources": ["vocals"]}, config) == config()


def test_other_shapes_are_refused(kind):
    with pytest.raises(ConfigError, match=r"no first_conv\.weight"):
        kind[0].config_from_shapes({"encoder.0.weight": (3, 2)})


def test_a_transformer_without_layers_is_refused():
    shapes = {"first_conv.weight": (16, 32, 1, 1), "final_conv.2.weight": (32, 16, 1, 1)}
    with pytest.raises(ConfigError, match="stage 0 has no layer"):
        swin_upernet.config_from_shapes(shapes)


def test_the_head_that_only_training_needs_is_left_out():
    names = ("swin_upernet_model.auxiliary_head.classifier.weight", "swin_upernet_model.decode_head.x")
    assert list(RENAMES["swin_upernet"](dict.fromkeys(names))) == [names[1]]
