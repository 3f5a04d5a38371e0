"""Bandit as the checkpoints of its two versions name and sort it.

    first version                                 ours
    bsrnn.band_split.norm_fc_modules.0.fc.bias    band_split.norm_fc_modules.0.fc.bias
    bsrnn.mask_estim.speech.freq_weights/0        is left out: one over how many bands have a bin
    stft.window, istft.window                     are left out: a periodic Hann

    second version
    band_split.norm_fc_modules.0.combined.0.bias  band_split.norm_fc_modules.0.norm.bias
    band_split.norm_fc_modules.0.combined.1.bias  band_split.norm_fc_modules.0.fc.bias
    tf_model.seqband.2.fc.bias                    tf_model.seqband.1.fc.bias
    mask_estim.speech.norm_mlp.0.combined.…       are left out: the same weights once more

Of a bin the second version has real and imaginary part side by side; the first, and we, have all real parts
of a band before all imaginary ones. So weights that a band's bins meet first are sorted.

Source: github.com/kwatcharasupat/bandit and bandit-v2 (names of their state).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "bandit"

_IDLE = re.compile(r"i?stft\.window|mask_estim\..*\.(?:freq_weights/\d+|combined\..*)")
_BAND = re.compile(r"(band_split\.norm_fc_modules\.\d+\.)combined\.([01])\.(weight|bias)")
_SEQUENCE = re.compile(r"tf_model\.seqband\.(\d+)\.(.*)")


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by our names and in our order; those that have both already stay as they are."""
    plain = {_stem(name): weight for name, weight in state.items()}
    plain = {name: weight for name, weight in plain.items() if not _IDLE.fullmatch(name)}
    if not any(_BAND.fullmatch(name) for name in plain):
        return plain
    return dict(_from_second(name, weight) for name, weight in plain.items())


def _stem(name: str) -> str:
    """A name without what training and the first version put before it."""
    return name.removeprefix("model.").removeprefix("bsrnn.")


def _from_second(name: str, weight: Tensor) -> tuple[str, Tensor]:
    """Our name and order of a weight of the second version."""
    if found := _SEQUENCE.fullmatch(name):  # a transposition stands between each two
        return f"tf_model.seqband.{int(found[1]) // 2}.{found[2]}", weight
    found = _BAND.fullmatch(name)
    if found is None:
        return name, weight
    layer = ("norm", "fc")[int(found[2])]
    if layer == "norm" or found[3] == "weight":
        weight = torch.unflatten(weight, -1, (-1, 2)).transpose(-1, -2).flatten(-2)
    return f"{found[1]}{layer}.{found[3]}", weight
