"""Hybrid Demucs as its packages describe it: the arguments of the constructor of HDemucs.

Source: that constructor in the demucs 4.1.0 package (names and defaults).
"""

from __future__ import annotations

from unbraid.zoo.keymaps.arguments import Arguments

ARGUMENTS = Arguments(
    architecture="hdemucs",
    fields={
        "sources": "sources",
        "audio_channels": "audio_channels",
        "samplerate": "sample_rate",
        "segment": "segment",
        "nfft": "n_fft",
        "cac": "cac",
        "wiener_iters": "wiener_iters",
        "end_iters": "end_iters",
        "wiener_residual": "wiener_residual",
        "hybrid_old": "hybrid_old",
        "channels": "channels",
        "growth": "growth",
        "depth": "depth",
        "kernel_size": "kernel_size",
        "stride": "stride",
        "time_stride": "time_stride",
        "multi_freqs": "multi_freqs",
        "multi_freqs_depth": "multi_freqs_depth",
        "norm_starts": "norm_starts",
        "norm_groups": "norm_groups",
        "dconv_mode": "dconv_mode",
        "dconv_depth": "dconv_depth",
        "dconv_comp": "dconv_comp",
        "dconv_attn": "dconv_attn",
        "dconv_lstm": "dconv_lstm",
        "dconv_init": "dconv_init",
        "freq_emb": "freq_emb",
        "rescale": "rescale",
    },
    # Those that are not our configuration's.
    defaults={"dconv_init": 1e-4},
    fixed={
        "channels_time": None,
        "hybrid": True,
        "rewrite": True,
        "emb_scale": 10,
        "context": 1,
        "context_enc": 0,
    },
    idle=frozenset({"emb_smooth"}),
    values={"multi_freqs": lambda bands: bands or [], "freq_emb": lambda gain: gain or 0.0},
)
