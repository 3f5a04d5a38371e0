"""Demucs of the first two generations: constructor arguments, and names of the weights.

Both call their class `demucs.model.Demucs`; their packages differ. Levels without norms have no place for
one, so what stands behind it has a lower number than in our network:

    encoder.0.2.weight      becomes     encoder.0.3.weight      1×1 convolution
    decoder.0.2.weight      becomes     decoder.0.3.weight      transposed convolution

Source: that constructor in the v1 and v2 branches of facebookresearch/demucs (names and defaults).
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_MUSDB = ("drums", "bass", "other", "vocals")  # the order of all published models


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those that have them already, as the third generation's do, stay as they are.

    >>> list(rename({"encoder.0.2.weight": 1, "decoder.0.3.weight": 2, "lstm.linear.bias": 3}))
    ['encoder.0.3.weight', 'decoder.0.3.weight', 'lstm.linear.bias']
    """
    return {re.sub(r"^((?:en|de)coder\.\d+)\.2\.(?=weight|bias)", r"\1.3.", key): state[key] for key in state}


def _names(sources: object) -> object:
    """Names of the sources, of which the first generation states the number alone."""
    if sources != len(_MUSDB):
        raise WeightsError(
            f"the checkpoint has {str(sources)[:40]} sources without names; "
            f"the published ones have {len(_MUSDB)}: {', '.join(_MUSDB)}"
        )
    return _MUSDB


SECOND = Arguments(
    architecture="demucs",
    fields={
        "sources": "sources",
        "audio_channels": "audio_channels",
        "samplerate": "sample_rate",
        "channels": "channels",
        "growth": "growth",
        "depth": "depth",
        "kernel_size": "kernel_size",
        "stride": "stride",
        "rewrite": "rewrite",
        "lstm_layers": "lstm_layers",
        "resample": "oversampled",
        "normalize": "normalized",
        "rescale": "rescale",
    },
    fixed={"glu": True, "context": 3},
    # Samples that evaluation took at once; 40 s by default, as ours.
    idle=frozenset({"segment_length"}),
    rename=rename,
)

FIRST = dataclasses.replace(
    SECOND,
    fields={ours: name for ours, name in SECOND.fields.items() if ours not in {"resample", "normalize"}},
    defaults={"sources": len(_MUSDB)},
    fixed={**SECOND.fixed, "upsample": False},
    idle=frozenset(),
    always={"oversampled": False, "divisor": 1.0},
    values={"sources": _names},
)
