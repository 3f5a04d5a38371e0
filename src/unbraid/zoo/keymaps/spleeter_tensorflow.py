"""Spleeter as its published checkpoints name its weights, those of TensorFlow 1.

Layers are called after their kind, and those of a kind numbered as they were made, source after source:

    conv2d, conv2d_1 … conv2d_4                             stems.0.down.0.conv … down.4.conv
    conv2d_5, conv2d_6                                      stems.0.bottom, output
    conv2d_7 …                                              stems.1.down.0.conv …
    conv2d_transpose … conv2d_transpose_5                   stems.0.up.0.conv … up.5.conv
    batch_normalization … batch_normalization_4             stems.0.down.0.norm … down.4.norm
    batch_normalization_5                                   is left out: nothing uses its answer
    batch_normalization_6 … batch_normalization_11          stems.0.up.0.norm … up.5.norm

Kernels are (height, width, in, out), those of transposed convolutions (height, width, out, in).

Source: the index of the published checkpoint of two sources; the order of sources in the published code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "spleeter"

_ELUS: Mapping[str, object] = {"encoder": "elu", "decoder": "elu"}
# What the number of sources says of the network: each was published once.
_PUBLISHED: Mapping[int, Mapping[str, object]] = {
    2: {"sources": ("vocals", "accompaniment")},
    4: {"sources": ("vocals", "drums", "bass", "other"), **_ELUS},
    5: {"sources": ("vocals", "piano", "drums", "bass", "other"), "softmax": True, **_ELUS},
}
_DOWN = tuple(f"down.{level}" for level in range(5))
_UP = tuple(f"up.{level}" for level in range(6))
_IDLE = ""
# Of one source, by kind, in the order in which they were made.
_LAYERS: Mapping[str, tuple[str, ...]] = {
    "conv2d": (*(f"{level}.conv" for level in _DOWN), "bottom", "output"),
    "conv2d_transpose": tuple(f"{level}.conv" for level in _UP),
    "batch_normalization": (
        *(f"{level}.norm" for level in _DOWN),
        _IDLE,
        *(f"{level}.norm" for level in _UP),
    ),
}
_CONVOLUTION: Mapping[str, str] = {"kernel": "weight", "bias": "bias"}
_NORM: Mapping[str, str] = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_TRAINING = re.compile(r"global_step|beta[12]_power|.*/Adam(_1)?")


def configuration(variables: Mapping[str, Tensor]) -> dict[str, object]:
    """What the variables say of the network; how many bins it hears is the caller's to say.

    Args:
        variables: A checkpoint's, by name.

    Raises:
        WeightsError: If no published Spleeter has so many sources, or a variable is missing.
    """
    kernels = [f"conv2d_{number}/kernel" if number else "conv2d/kernel" for number in range(len(_DOWN) + 1)]
    shapes = [tuple(_variable(variables, kernel).shape) for kernel in kernels]
    if any(len(shape) != 4 for shape in shapes):
        raise WeightsError("the checkpoint's convolutions are not those of a Spleeter")
    widths = tuple(shape[3] for shape in shapes)
    return {**_PUBLISHED[_sources(variables)], "audio_channels": shapes[0][2], "widths": widths}


def rename(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the network's names, in its layout.

    Args:
        variables: A checkpoint's, by name.

    Raises:
        WeightsError: If a variable is missing, or there are more than a Spleeter has.
    """
    state = {}
    for stem in range(_sources(variables)):
        for theirs, ours in _theirs(stem).items():
            weight = _variable(variables, theirs)
            if ours != _IDLE:
                state[f"stems.{stem}.{ours}"] = _arranged(weight)
    return state


def _sources(variables: Mapping[str, Tensor]) -> int:
    """How many sources the variables are for; all have as many."""
    count, kept = len([name for name in variables if not _TRAINING.fullmatch(name)]), len(_theirs(0))
    if count % kept or count // kept not in _PUBLISHED:
        raise WeightsError(
            f"the checkpoint has {count} variables; a Spleeter has {kept} for each of its sources, and those "
            f"of {', '.join(map(str, _PUBLISHED))} sources are known"
        )
    return count // kept


def _variable(variables: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in variables:
        raise WeightsError(f"the checkpoint has no variable {name}")
    return variables[name]


def _theirs(stem: int) -> dict[str, str]:
    """Our name, within its U-Net, for each variable of a source."""
    names = {}
    for kind, layers in _LAYERS.items():
        for at, layer in enumerate(layers):
            number = stem * len(layers) + at
            for theirs, ours in (_NORM if kind == "batch_normalization" else _CONVOLUTION).items():
                numbered = f"{kind}_{number}" if number else kind
                names[f"{numbered}/{theirs}"] = f"{layer}.{ours}" if layer else _IDLE
    return names


def _arranged(weight: Tensor) -> Tensor:
    """A kernel in torch's layout, (out, in, height, width), or (in, out, …) where it is transposed."""
    return weight.permute(3, 2, 0, 1).contiguous() if weight.ndim == 4 else weight
