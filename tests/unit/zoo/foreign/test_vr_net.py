"""VR networks as UVR's tables describe them, and as their weights do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from reference.published_vr import published_layout
from unbraid.config import structure
from unbraid.dsp import multiband
from unbraid.errors import ConfigError
from unbraid.networks.vr_net import Config, VRNet
from unbraid.zoo.foreign.vr_net import config_from_shapes, config_of, layout_of

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"vr_model_param": "4band_v2_sn", "primary_stem": "Instrumental", "is_karaoke": True},
            Config(sources=("accompaniment", "lead_vocals"), layout="4band_v2_sn"),
        ),
        (
            {"vr_model_param": "4band_v3", "primary_stem": "No Echo", "nout": 48, "nout_lstm": 128},
            Config(sources=("no_echo", "echo"), layout="4band_v3", channels=48, recurrence=128),
        ),
        (
            {"vr_model_param": "4band_44100", "primary_stem": "No Piano"},
            Config(sources=("no_piano", "piano")),
        ),
        (
            {"vr_model_param": "4band_44100", "primary_stem": "Bass"},
            Config(sources=("bass", "no_bass"), accompaniment=False),
        ),
        (
            {
                "vr_model_param": "4band_v3_sn",
                "primary_stem": "Vocals",
                "nout": 64,
                "nout_lstm": 128,
                "is_karaoke": False,
                "is_bv_model": True,
                "is_bv_model_rebalanced": 0.9,
            },
            Config(
                sources=("backing_vocals", "no_backing_vocals"),
                layout="4band_v3_sn",
                channels=64,
                recurrence=128,
                accompaniment=False,
            ),
        ),
    ],
)
def test_an_entry_makes_the_network_that_uvr_makes(entry, expected):
    assert structure(config_of(entry), Config) == expected


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"vr_model_parm": "4band_v3", "primary_stem": "Echo"},
            "unknown key 'vr_model_parm' in .*; did you mean vr_model_param",
        ),
        ({"primary_stem": "Echo"}, "has no vr_model_param"),
        ({}, "has no vr_model_param and no primary_stem"),
    ],
)
def test_an_entry_with_another_key_is_refused(entry, words):
    with pytest.raises(ConfigError, match=words):
        config_of(entry)


@pytest.mark.reference
@pytest.mark.parametrize("name", multiband._layouts())
def test_the_table_of_layouts_is_that_of_uvr(name):
    found = structure(layout_of(published_layout(name).param), multiband.Layout)
    assert found == multiband.layout(name)


def test_a_layout_with_another_key_is_refused():
    with pytest.raises(ConfigError, match="unknown key 'bans'"):
        layout_of({"bans": 3, "band": {}})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vr_net", {"channels": 32, "levels": 4, "views": 5}),
        ("vr_net_seven_views", {"channels": 64, "levels": 4, "views": 7}),
        ("vr_net_five_levels", {"channels": 16, "levels": 5, "views": 6}),
        ("vr_net_recurrent", {"channels": 48, "recurrence": 128, "layout": "4band_v3"}),
    ],
)
def test_shapes_tell_the_sizes(name, expected):
    shapes = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = config_from_shapes({key: tuple(shape) for key, shape in shapes.items()})
    assert found.items() >= expected.items()
    with torch.device("meta"):
        network = VRNet(structure(found, Config))
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == shapes


def test_other_shapes_are_refused():
    with pytest.raises(ConfigError, match=r"no weights of a VR network: there is no stg1_low_band_net"):
        config_from_shapes({"encoder.0.weight": (3, 2)})
