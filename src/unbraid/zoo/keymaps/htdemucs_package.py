"""HT Demucs as its packages describe it: the arguments of the constructor of HTDemucs.

A sparse attention has its projections apart; ours has them under each other, as the dense one:

    q  k  v  .weight  .bias        in_proj_weight  in_proj_bias
    proj     .weight  .bias        out_proj        .weight  .bias

Source: that constructor in the demucs 4.1.0 package (names and defaults).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from unbraid.zoo.keymaps.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_SWITCHES = ("t_sparse_self_attn", "t_sparse_cross_attn")
# What is said in vain of a dense network.
_PATTERN = ("t_masks", "t_sparsity", "t_sparse_attn_window", "t_global_window", "t_mask_random_seed")
_APART = re.compile(r"(.*_attn)\.([qkv])\.(weight|bias)")


class _HTDemucsArguments(Arguments):
    """The pattern of a sparse attention is told by several arguments at once."""

    def configuration(self, args: object, kwargs: object) -> dict[str, object]:
        ours = super().configuration(args, kwargs)
        if ours.pop("t_auto_sparsity", False):
            ours["t_masks"] = ["auto"]
        if any(ours.get(switch) for switch in _SWITCHES):
            return ours
        return {name: value for name, value in ours.items() if name not in _PATTERN}


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those of dense attention stay as they are.

    >>> halves = {f"self_attn.{part}.bias": torch.full((2,), i) for i, part in enumerate("qkv")}
    >>> rename(halves)
    {'self_attn.in_proj_bias': tensor([0, 0, 1, 1, 2, 2])}
    """
    ours = {}
    for name, weight in state.items():
        apart = _APART.fullmatch(name)
        if apart is None:
            ours[name.replace("_attn.proj.", "_attn.out_proj.")] = weight
        elif apart[2] == "q":
            packed = [state[f"{apart[1]}.{part}.{apart[3]}"] for part in "qkv"]
            ours[f"{apart[1]}.in_proj_{apart[3]}"] = torch.cat(packed)
    return ours


def _joined(mask_type: object) -> object:
    """The kinds of masks in "diag_random"; what is no text is refused by the configuration."""
    return mask_type.split("_") if isinstance(mask_type, str) else mask_type


ARGUMENTS = _HTDemucsArguments(
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
        "t_sparse_self_attn": "t_sparse_self_attn",
        "t_sparse_cross_attn": "t_sparse_cross_attn",
        "t_mask_type": "t_masks",
        "t_auto_sparsity": "t_auto_sparsity",
        "t_sparsity": "t_sparsity",
        "t_sparse_attn_window": "t_sparse_attn_window",
        "t_global_window": "t_global_window",
        "t_mask_random_seed": "t_mask_random_seed",
        "rescale": "rescale",
    },
    # Those that are not our configuration's.
    defaults={
        "segment": 10,
        "bottom_channels": 0,
        "t_dropout": 0.0,
        "dconv_mode": 1,
        "t_mask_type": "diag",
        "t_sparsity": 0.95,
    },
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
        }
    ),
    values={"t_mask_type": _joined, "t_sparse_self_attn": bool, "t_sparse_cross_attn": bool},
    rename=rename,
)
