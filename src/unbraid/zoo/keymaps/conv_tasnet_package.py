"""Conv-TasNet as its packages describe it: the arguments of the constructor of ConvTasNet.

Both generations call their class `demucs.tasnet.ConvTasNet`. The second names its sources, the first only
counts them, and takes one channel unless told otherwise.

Source: that constructor in the v1 and v2 branches of facebookresearch/demucs (names and defaults).
"""

from __future__ import annotations

import dataclasses

from unbraid.zoo.keymaps.arguments import Arguments

_MUSDB = ("drums", "bass", "other", "vocals")  # the order of all published models


def _names(sources: object) -> object:
    """Names of the sources where only their number is stated; another number has no names."""
    return _MUSDB if sources == len(_MUSDB) else sources


_SIZES = {
    "audio_channels": "audio_channels",
    "samplerate": "sample_rate",
    "N": "filters",
    "L": "filter_length",
    "B": "bottleneck_channels",
    "H": "hidden_channels",
    "P": "kernel_size",
    "X": "blocks",
    "R": "repeats",
}

SECOND = Arguments(
    architecture="conv_tasnet",
    fields={"sources": "sources", "segment_length": "segment", **_SIZES},
    defaults={"X": 8},
    fixed={"norm_type": "gLN", "causal": False, "mask_nonlinear": "relu"},
    values={"sources": _names},
)

FIRST = dataclasses.replace(
    SECOND,
    fields={"C": "sources", **_SIZES},
    defaults={"X": 8, "C": len(_MUSDB), "audio_channels": 1},
    positional=(),
    values={"C": _names},
)
