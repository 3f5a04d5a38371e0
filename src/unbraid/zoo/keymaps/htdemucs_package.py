"""HT Demucs as its packages describe it: the arguments of the constructor of HTDemucs.

Source: that constructor in the demucs 4.1.0 package (names and defaults).
"""

from __future__ import annotations

from unbraid.zoo.keymaps.arguments import Arguments

ARGUMENTS = Arguments(
    architecture="htdemucs",
    fields={
        "sources": "sources",
        "audio_channels": "audio_channels",
        "samplerate": "sample_rate",
        "segment": "segment",
        "nfft": "n_fft",
        "channels": "channels",
        "growth": "growth",
        "depth": "depth",
        "kernel_size": "kernel_size",
        "stride": "stride",
        "dconv_depth": "dconv_depth",
        "dconv_comp": "dconv_comp",
        "dconv_init": "dconv_init",
        "freq_emb": "freq_emb",
        "bottom_channels": "bottom_channels",
        "t_layers": "t_layers",
        "t_heads": "t_heads",
        "t_hidden_scale": "t_hidden_scale",
        "t_dropout": "t_dropout",
        "rescale": "rescale",
    },
    # Those that are not our configuration's.
    defaults={"segment": 10, "bottom_channels": 0, "t_dropout": 0.0, "dconv_mode": 1},
    fixed={
        "channels_time": None,
        "cac": True,
        "rewrite": True,
        "multi_freqs": None,
        "emb_scale": 10,
        "context": 1,
        "context_enc": 0,
        "norm_starts": 4,
        "dconv_mode": 3,
        "t_emb": "sin",
        "t_norm_in": True,
        "t_norm_in_group": False,
        "t_group_norm": False,
        "t_norm_first": True,
        "t_norm_out": True,
        "t_max_period": 10000.0,
        "t_layer_scale": True,
        "t_gelu": True,
        "t_weight_pos_embed": 1.0,
        "t_sparse_self_attn": False,
        "t_sparse_cross_attn": False,
        "t_cross_first": False,
        "use_train_segment": True,
    },
    idle=frozenset(
        {
            "wiener_iters",
            "end_iters",
            "wiener_residual",
            "multi_freqs_depth",
            "emb_smooth",
            "time_stride",
            "norm_groups",
            "t_max_positions",
            "t_weight_decay",
            "t_lr",
            "t_sin_random_shift",
            "t_cape_mean_normalize",
            "t_cape_augment",
            "t_cape_glob_loc_scale",
            "t_mask_type",
            "t_mask_random_seed",
            "t_sparse_attn_window",
            "t_global_window",
            "t_sparsity",
            "t_auto_sparsity",
        }
    ),
)
