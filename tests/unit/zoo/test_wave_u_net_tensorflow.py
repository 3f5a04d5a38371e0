"""What the names and shapes of a checkpoint say of the network, and when they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unbraid.errors import WeightsError
from unbraid.networks.base import build
from unbraid.zoo.keymaps.wave_u_net_tensorflow import ARCHITECTURE, configuration, rename
from unbraid.zoo.package import require_fit, skeleton
from unbraid.zoo.tensorflow_bundle import read_bundle

GOLDEN = Path(__file__).parents[2] / "golden/wave_u_net_tensorflow"
TWO, FOUR = ("accompaniment", "vocals"), ("bass", "drums", "other", "vocals")


@pytest.mark.parametrize(
    ("name", "channels", "sources", "upsampling", "output", "sample_rate"),
    [
        ("m1", 1, TWO, "linear", "direct", 22050),
        ("m2", 1, TWO, "linear", "difference", 22050),
        ("m4", 2, TWO, "linear", "difference", 22050),
        ("m5", 2, TWO, "learned", "difference", 44100),
        ("m6", 2, FOUR, "linear", "difference", 22050),
    ],
)
def test_shapes_tell_the_architecture(name, channels, sources, upsampling, output, sample_rate):
    variables = read_bundle(GOLDEN / name)
    assert configuration(variables) == {
        "sources": sources,
        "audio_channels": channels,
        "sample_rate": sample_rate,
        "levels": 2,
        "channels": 3,
        "kernel_size": 15,
        "up_kernel_size": 5,
        "context": True,
        "upsampling": upsampling,
        "output": output,
    }
    require_fit(rename(variables), skeleton(ARCHITECTURE, configuration(variables)), name)


def test_what_no_shape_tells_is_the_callers():
    told = configuration(read_bundle(GOLDEN / "m5"), context=False, sample_rate=22050)
    assert (told["context"], told["sample_rate"]) == (False, 22050)


def published(**options) -> dict[str, torch.Tensor]:
    """The variables of a published model at full size, without values, as TensorFlow numbers them."""
    with torch.device("meta"):
        state = build(ARCHITECTURE, options).state_dict()
    variables, number = {}, 0
    for kind in ("down", "bottleneck", "up", "output"):
        for name in (name for name in state if name.startswith(f"{kind}.") and name.endswith(".weight")):
            layer = f"separator/conv1d{f'_{number}' if number else ''}"
            variables[f"{layer}/kernel"] = state[name].permute(2, 1, 0)
            variables[f"{layer}/bias"] = state[name.replace(".weight", ".bias")]
            number += 1
    shares = [name for name in state if name.startswith("interpolation.")]
    return variables | {f"separator/interp_{at}": state[name] for at, name in enumerate(shares)}


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 10_263_390),
        ({"upsampling": "learned", "sample_rate": 44100}, 10_263_390 + 24 * sum(range(2, 14))),
        ({"sources": FOUR}, 10_263_390 + 2 * (26 * 2 + 2)),
        ({"audio_channels": 1, "output": "direct", "context": False}, None),
    ],
)
def test_the_published_models_are_told_by_their_shapes(options, count):
    variables = published(**options)
    told = configuration(variables, context=options.get("context", True))
    network = skeleton(ARCHITECTURE, told)
    assert network.config == skeleton(ARCHITECTURE, options).config
    require_fit(rename(variables), network, "published")
    if count:
        assert sum(value.numel() for value in variables.values()) == count


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"separator/conv1d_2/kernel": None}, "no variable separator/conv1d_2/kernel"),
        ({"separator/conv1d_7/kernel": None}, "no variable separator/conv1d_7/kernel"),
        ({"separator/conv1d_5/bias": None}, "no variable separator/conv1d_5/bias"),
        ({"separator/conv1d_5/bias": torch.zeros(2, 2)}, "conv1d_5/bias, or one of another shape"),
        ({"separator/conv1d_1/kernel": torch.zeros(15, 7, 6)}, "make no way down and up again"),
        (
            {"separator/batch_norm/gamma": torch.zeros(3)},
            "what no Wave-U-Net has: separator/batch_norm/gamma",
        ),
        ({"generator/conv1d/kernel": torch.zeros(3)}, "what no Wave-U-Net has: generator/conv1d/kernel"),
    ],
)
def test_variables_that_make_no_wave_u_net_are_refused(change, words):
    variables = {**read_bundle(GOLDEN / "m6"), **change}
    with pytest.raises(WeightsError, match=words):
        configuration({name: value for name, value in variables.items() if value is not None})


def test_a_number_of_outputs_that_no_task_has_is_refused():
    variables = read_bundle(GOLDEN / "m4")
    for number in range(6, 10):
        for part in ("kernel", "bias"):
            variables[f"separator/conv1d_{number}/{part}"] = variables[f"separator/conv1d_5/{part}"]
    with pytest.raises(WeightsError, match="predicts 5 sources; known are models of two and four"):
        configuration(variables)


def test_nothing_is_no_wave_u_net():
    with pytest.raises(WeightsError, match="0 convolutions"):
        configuration({})
