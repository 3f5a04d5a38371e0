"""Hybrid Demucs as torchaudio names its weights: the branches' names are spelled out.

    freq_encoder.0.conv.weight      becomes     encoder.0.conv.weight
    time_encoder.0.conv.weight      becomes     tencoder.0.conv.weight
    time_encoder.4.norm1.weight     is left out

Where the branches meet, the waveform's encoder is a convolution alone, and torchaudio's norm behind it is
never used.

Source: HDemucs in torchaudio 2.5.1 (names of its state).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_BRANCHES: Mapping[str, str] = {"freq": "", "time": "t"}


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"freq_encoder.0.conv.bias": 1, "time_decoder.4.norm2.bias": 2, "decoder.1.norm1.bias": 3})
    {'encoder.0.conv.bias': 1, 'tdecoder.4.norm2.bias': 2, 'decoder.1.norm1.bias': 3}
    """
    return {
        re.sub(r"^(freq|time)_(?=encoder\.|decoder\.)", lambda found: _BRANCHES[found[1]], name): weight
        for name, weight in state.items()
        if not _is_idle(name, state)
    }


def _is_idle(name: str, state: Mapping[str, Tensor]) -> bool:
    """Whether a weight is that of the norm that is never used: its level has no second convolution."""
    norm = re.match(r"(time_encoder\.\d+\.)norm1\.", name)
    return norm is not None and f"{norm[1]}rewrite.weight" not in state
