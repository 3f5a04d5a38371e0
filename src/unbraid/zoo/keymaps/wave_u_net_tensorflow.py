"""Wave-U-Net as its authors' TensorFlow checkpoints hold it.

TensorFlow numbers the convolutions as they were made, and tells a layer's kind only by its place:

    separator/conv1d, conv1d_1, …    the ways down, then the bottleneck, then the ways up, then the outputs
    separator/interp_0, …            shares of a learned upsampling, from the bottleneck up
    …/kernel                         (tap, in, out); ours is (out, in, tap)
    …/Adam, beta1_power, …           what training kept; not read

How many there are of each shows in the shapes: going down, each convolution takes as many channels as the
one before gives; the first of the way up takes those of its skip connection, too. What no shape shows is
whether edges are padded, and the sample rate.

Source: the published code, github.com/f90/Wave-U-Net (names and order).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "wave_u_net"

_OURS = re.compile(r"separator/(conv1d(_\d+)?/(kernel|bias)|interp_\d+)")
_TRAINING = re.compile(r"(.*/)?(Adam(_\d+)?|beta[12]_power(_\d+)?|global_step)")
# The two published tasks; the last source of an odd number of outputs is the rest of the mixture.
_SOURCES: Mapping[int, tuple[str, ...]] = {
    2: ("accompaniment", "vocals"),
    4: ("bass", "drums", "other", "vocals"),
}


def configuration(
    variables: Mapping[str, Tensor], *, context: bool = True, sample_rate: int | None = None
) -> dict[str, object]:
    """Our configuration, as a mapping, of the network that has these variables.

    Args:
        variables: A checkpoint's, by name.
        context: Whether it was trained without padding, as all three models that were given away were.
        sample_rate: In Hz; None: that of the one which has these parts among those three.

    Raises:
        WeightsError: If the variables make no Wave-U-Net of a known task.
    """
    layers = _layers(variables)
    depth = _depth(variables, layers)
    predicted = len(layers) - 2 * depth - 1
    learned = "separator/interp_0" in variables
    if predicted + predicted % 2 not in _SOURCES:
        raise WeightsError(f"the checkpoint predicts {predicted} sources; known are models of two and four")
    first = variables[f"{layers[0]}/kernel"]
    return {
        "sources": _SOURCES[predicted + predicted % 2],
        "audio_channels": first.shape[1],
        "sample_rate": sample_rate or (44100 if learned else 22050),
        "levels": depth,
        "channels": first.shape[2],
        "kernel_size": first.shape[0],
        "up_kernel_size": variables[f"{layers[depth + 1]}/kernel"].shape[0],
        "context": context,
        "upsampling": "learned" if learned else "linear",
        "output": "difference" if predicted % 2 else "direct",
    }


def rename(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the network's names and in its shapes.

    Args:
        variables: A checkpoint's, by name.

    Returns:
        All that the network uses; the caller compares names and shapes with the network's.

    Raises:
        WeightsError: If a variable is strange or missing.
    """
    layers = _layers(variables)
    depth = _depth(variables, layers)
    ours = [
        *(f"down.{level}" for level in range(depth)),
        "bottleneck",
        *(f"up.{level}" for level in range(depth)),
        *(f"output.{source}" for source in range(len(layers) - 2 * depth - 1)),
    ]
    state = {}
    for layer, name in zip(layers, ours, strict=True):
        state[f"{name}.weight"] = variables[f"{layer}/kernel"].permute(2, 1, 0).contiguous()
        state[f"{name}.bias"] = variables[f"{layer}/bias"]
    prefix = "separator/interp_"
    shares = [name for name in variables if _OURS.fullmatch(name) and name.startswith(prefix)]
    return state | {
        f"interpolation.{name.removeprefix(prefix)}.weight": variables[name] for name in sorted(shares)
    }


def _layers(variables: Mapping[str, Tensor]) -> list[str]:
    """The convolutions in the order in which they were made."""
    strange = [name for name in variables if not _OURS.fullmatch(name) and not _TRAINING.fullmatch(name)]
    if strange:
        raise WeightsError(f"the checkpoint holds what no Wave-U-Net has: {', '.join(sorted(strange)[:3])}")
    count = len({name.rpartition("/")[0] for name in variables if name.endswith(("/kernel", "/bias"))})
    layers = [f"separator/conv1d{f'_{number}' if number else ''}" for number in range(count)]
    for name in (f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")):
        if name not in variables or variables[name].ndim != (3 if name.endswith("kernel") else 1):
            raise WeightsError(f"the checkpoint has no variable {name}, or one of another shape")
    return layers


def _depth(variables: Mapping[str, Tensor], layers: list[str]) -> int:
    """How many convolutions go down; the next, the bottleneck, is the first whose channels are joined."""
    kernels = [variables[f"{layer}/kernel"] for layer in layers]
    widened = [at for at in range(len(layers) - 1) if kernels[at + 1].shape[1] != kernels[at].shape[2]]
    if not widened or not 1 <= widened[0] <= (len(layers) - 2) // 2:
        raise WeightsError(f"the checkpoint's {len(layers)} convolutions make no way down and up again")
    return widened[0]
