"""Demucs of the third generation, over samples alone: the arguments of its constructor.

Source: the constructor of Demucs in the demucs 4.1.0 package (names and defaults).
"""

from __future__ import annotations

from unbraid.zoo.keymaps.arguments import Arguments

ARGUMENTS = Arguments(
    architecture="demucs",
    fields={
        "sources": "sources",
        "audio_channels": "audio_channels",
        "samplerate": "sample_rate",
        "segment": "segment",
        "channels": "channels",
        "growth": "growth",
        "depth": "depth",
        "kernel_size": "kernel_size",
        "stride": "stride",
        "context": "context",
        "rewrite": "rewrite",
        "gelu": "gelu",
        "lstm_layers": "lstm_layers",
        "norm_starts": "norm_starts",
        "norm_groups": "norm_groups",
        "dconv_depth": "dconv_depth",
        "dconv_comp": "dconv_comp",
        "dconv_attn": "dconv_attn",
        "dconv_lstm": "dconv_lstm",
        "dconv_init": "dconv_init",
        "resample": "oversampled",
        "normalize": "normalized",
        "rescale": "rescale",
    },
    # Those that are not our configuration's.
    defaults={"gelu": True, "lstm_layers": 0, "norm_starts": 4, "dconv_depth": 2, "normalize": True},
    fixed={"glu": True, "dconv_mode": 1},
    always={"padded": True, "divisor": 1.0},
)
