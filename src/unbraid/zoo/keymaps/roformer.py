"""RoFormers as torch checkpoints hold them.

    linear_62_bias_0                layers.*.*.layers.*.0.to_qkv.bias       a bias that all layers share
    linear_64_bias_0                layers.*.*.layers.*.0.to_out.0.bias
    freq_indices, …                 -                                       where bands lie; left out

A file holds shared biases under all these names, or, where it stores no value twice, under the first alone.

Source: names of state in github.com/ZFTurbo/Music-Source-Separation-Training and of the files by jarredou.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_IDLE = frozenset({"freq_indices", "freqs_per_band", "num_freqs_per_band", "num_bands_per_freq"})
_SHARED: Mapping[str, str] = {"linear_62_bias_0": ".to_qkv.", "linear_64_bias_0": ".to_out.0."}


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"layers.0.0.layers.0.0.to_qkv.weight": 1, "linear_62_bias_0": 2, "freq_indices": 3})
    {'layers.0.0.layers.0.0.to_qkv.bias': 2, 'layers.0.0.layers.0.0.to_qkv.weight': 1}
    """
    spread = {
        name.removesuffix("weight") + "bias": state[shared]
        for shared, place in _SHARED.items()
        for name in state
        if shared in state and name.endswith(f"{place}weight")
    }
    return spread | {
        name: weight for name, weight in state.items() if name not in _IDLE and name not in _SHARED
    }
