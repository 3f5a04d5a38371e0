"""X-UMX as asteroid's checkpoints describe and name it.

    {"model_name": "XUMX", "model_args": {…}, "state_dict": weights, "infos": {…}}

    layer_enc.bass.enc.0.weight         becomes     targets.0.fc1.weight
    layer_enc.bass.enc.1.bias                       targets.0.bn1.bias
    layer_lstm.bass.weight_ih_l0                    targets.0.lstm.weight_ih_l0
    layer_dec.bass.dec.0.weight                     targets.0.fc2.weight
    layer_dec.bass.dec.1.bias                       targets.0.bn2.bias
    layer_dec.bass.dec.3.weight                     targets.0.fc3.weight
    layer_dec.bass.dec.4.bias                       targets.0.bn3.bias
    mean_scale.input_mean_bass                      targets.0.input_mean
    encoder.0.window, decoder.window    is left out: a periodic Hann

Sources stand in the order of the network's output.

Source: the asteroid 0.7.0 package (names, arguments and defaults).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_LAYERS: Mapping[str, str] = {
    "layer_enc.enc.0": "fc1",
    "layer_enc.enc.1": "bn1",
    "layer_lstm": "lstm",
    "layer_dec.dec.0": "fc2",
    "layer_dec.dec.1": "bn2",
    "layer_dec.dec.3": "fc3",
    "layer_dec.dec.4": "bn3",
}
_LAYER = re.compile(r"(layer_(?:enc|lstm|dec))\.([^.]+)((?:\.(?:enc|dec)\.\d)?)\.(\w+)")
_VECTOR = re.compile(r"mean_scale\.((?:input|output)_(?:mean|scale))_(.+)")
_IDLE = frozenset({"encoder.0.window", "decoder.window"})


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by our names; those that have them already, or none that is known, stay as they are.

    >>> rename({"layer_enc.a.enc.0.weight": 1, "layer_lstm.b.bias_hh_l0": 2, "layer_enc.b.enc.1.bias": 3})
    {'targets.0.fc1.weight': 1, 'targets.1.lstm.bias_hh_l0': 2, 'targets.1.bn1.bias': 3}
    """
    sources: dict[str, int] = {}
    for name in state:
        if (found := _LAYER.fullmatch(name)) and found[1] == "layer_enc":
            sources.setdefault(found[2], len(sources))
    return {_ours(name, sources): weight for name, weight in state.items() if name not in _IDLE}


def _ours(name: str, sources: Mapping[str, int]) -> str:
    layer, vector = _LAYER.fullmatch(name), _VECTOR.fullmatch(name)
    if layer and layer[2] in sources and (ours := _LAYERS.get(layer[1] + layer[3])):
        return f"targets.{sources[layer[2]]}.{ours}.{layer[4]}"
    if vector and vector[2] in sources:
        return f"targets.{sources[vector[2]]}.{vector[1]}"
    return name


class _XUMXArguments(Arguments):
    """The window is stated beside the frame."""

    def configuration(self, args: object, kwargs: object) -> dict[str, object]:
        ours = super().configuration(args, kwargs)
        if ours.pop("window_length") != ours["n_fft"]:
            raise WeightsError("the checkpoint's window is not as long as its frame, which ours is")
        return ours if ours["max_bin"] else {**ours, "max_bin": _all_bins(ours["n_fft"])}


def _all_bins(n_fft: object) -> object:
    return n_fft // 2 + 1 if isinstance(n_fft, int) else n_fft


ARGUMENTS = _XUMXArguments(
    architecture="x_umx",
    fields={
        "sources": "sources",
        "window_length": "window_length",
        "in_chan": "n_fft",
        "n_hop": "hop_length",
        "hidden_size": "hidden_size",
        "nb_channels": "audio_channels",
        "sample_rate": "sample_rate",
        "nb_layers": "layers",
        "max_bin": "max_bin",
        "bidirectional": "unidirectional",
    },
    defaults={"window_length": 4096, "in_chan": 4096, "max_bin": None},
    fixed={"spec_power": 1},
    idle=frozenset({"input_mean", "input_scale", "return_time_signals"}),
    values={
        "sample_rate": lambda rate: int(rate) if isinstance(rate, float) else rate,
        "bidirectional": lambda both: not both,
    },
    rename=rename,
)
