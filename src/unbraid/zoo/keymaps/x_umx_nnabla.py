"""X-UMX as its authors' NNabla file holds it.

    fc1_bass/affine/W                       (in, out); ours is (out, in)
    fc1_bass/bn/gamma, beta, mean, var      (1, 1, out)
    lstm_bass/lstm/weight_l0                (direction, gate, out, in + out), of the first layer
    lstm_bass/lstm/weight                   (layer - 1, direction, gate, out, 2 · out + out), of the others
    lstm_bass/lstm/bias                     (layer, direction, gate, out)
    input_mean_bass                         as ours, as are input_scale, output_mean and output_scale

Gates are in the order of torch: input, forget, cell, output. A row of the recurrent weights is for the input
first and then for the state; torch has a bias for each, of which the second is 0 here.

Source: the published code, github.com/sony/ai-research-code (names), and NNabla's (layouts).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps import open_unmix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

ARCHITECTURE = "x_umx"

_SOURCES = ("bass", "drums", "vocals", "other")
_NAME = re.compile(
    r"(?:(fc[123])_(\w+)/(affine/W|bn/(?:gamma|beta|mean|var))"
    r"|lstm_(\w+)/lstm/(weight_l0|weight|bias)"
    r"|((?:input|output)_(?:mean|scale))_(\w+))"
)
_NORM: Mapping[str, str] = {
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def configuration(variables: Mapping[str, Tensor]) -> dict[str, object]:
    """Our configuration, as a mapping, of the network that has these variables.

    Args:
        variables: A file's, by name.

    Raises:
        WeightsError: If the variables make no X-UMX.
    """
    first = {name.removeprefix("targets.0."): weight for name, weight in rename(variables).items()}
    return {"sources": _SOURCES, **open_unmix.sizes(first)}


def rename(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the network's names and in its shapes.

    Args:
        variables: A file's, by name.

    Raises:
        WeightsError: If a variable is strange or missing.
    """
    strange = sorted(name for name in variables if not _NAME.fullmatch(name))
    if strange:
        raise WeightsError(f"the checkpoint holds what no X-UMX has: {', '.join(strange[:3])}")
    return open_unmix.joined({source: dict(_target(variables, source)) for source in _SOURCES})


def _target(variables: Mapping[str, Tensor], source: str) -> Iterator[tuple[str, Tensor]]:
    """The weights of one source by our names."""
    for vector in ("input_mean", "input_scale", "output_mean", "output_scale"):
        yield vector, variables[f"{vector}_{source}"]
    for number in "123":
        layer = f"fc{number}_{source}"
        yield f"fc{number}.weight", variables[f"{layer}/affine/W"].T.contiguous()
        yield f"bn{number}.num_batches_tracked", torch.tensor(0)
        for theirs, ours in _NORM.items():
            yield f"bn{number}.{ours}", variables[f"{layer}/bn/{theirs}"].flatten()
    yield from _recurrence(variables, f"lstm_{source}/lstm")


def _recurrence(variables: Mapping[str, Tensor], scope: str) -> Iterator[tuple[str, Tensor]]:
    """The weights of one source's recurrent layers by our names."""
    layers = [variables[f"{scope}/weight_l0"], *variables.get(f"{scope}/weight", ())]
    for layer, directions in enumerate(layers):
        for direction, gates in enumerate(directions):  # (gate, out, in + out)
            place = f"l{layer}{'_reverse' if direction else ''}"
            into = gates.shape[-1] - gates.shape[-2]
            rows = gates.flatten(0, 1)
            bias = variables[f"{scope}/bias"][layer, direction].flatten()
            yield f"lstm.weight_ih_{place}", rows[:, :into].contiguous()
            yield f"lstm.weight_hh_{place}", rows[:, into:].contiguous()
            yield f"lstm.bias_ih_{place}", bias
            yield f"lstm.bias_hh_{place}", torch.zeros_like(bias)
