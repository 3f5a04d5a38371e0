"""What a Demucs package says of its network: the class it names and the arguments the class was called with.

    {"klass": demucs.htdemucs.HTDemucs, "args": (), "kwargs": {…}, "state": {…}, "training_args": {…}}

The class is a plain string here, looked up in this table and never imported. Each of its arguments is either
a field of our configuration, or has the one value that our network embodies, or only matters in training;
any other argument is refused, since the weights would sound wrong without it.

Source: the constructor of HTDemucs in the demucs 4.1.0 package (names and defaults).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASSES: Mapping[str, str] = {"demucs.htdemucs.HTDemucs": "htdemucs"}

# Argument: our field of the same meaning.
_FIELDS: Mapping[str, str] = {
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
}
# The constructor's defaults that are not our network's.
_DEFAULTS: Mapping[str, object] = {"segment": 10, "bottom_channels": 0, "t_dropout": 0.0, "dconv_mode": 1}
_FIXED: Mapping[str, object] = {
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
}
# Only matter in training, or where one of the fixed arguments has another value.
_IDLE = frozenset(
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
)


def configuration(klass: str, args: object, kwargs: object) -> tuple[str, dict[str, object]]:
    """Our architecture and configuration for a Demucs package.

    Args:
        klass: Dotted name of its class.
        args: Its arguments by position; only the sources may stand there.
        kwargs: Its arguments by name.

    Returns:
        The architecture's name, and its configuration as a mapping.

    Raises:
        WeightsError: If the class is not known, or an argument asks for what our network does not do.

    >>> configuration("demucs.htdemucs.HTDemucs", (), {"dconv_mode": 3, "sources": ["a"]})[0]
    'htdemucs'
    """
    if klass not in CLASSES:
        raise WeightsError(f"the checkpoint is a {klass}; known are {', '.join(CLASSES)}")
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict) or len(args) > 1:
        raise WeightsError(f"the checkpoint's arguments are not those of {klass}")
    given = {**_DEFAULTS, **dict(zip(("sources",), args, strict=False)), **kwargs}
    strange = sorted(str(name) for name in given.keys() - _FIELDS.keys() - _FIXED.keys() - _IDLE)
    # An empty list for "no bands", or 0 for False, says the same.
    wrong = [name for name, value in _FIXED.items() if (given.get(name, value) or None) != (value or None)]
    if strange or wrong:
        asked = [*strange, *(f"{name} = {str(given[name])[:40]} (we have {_FIXED[name]})" for name in wrong)]
        raise WeightsError(f"the checkpoint asks for what this network does not do: {', '.join(asked)}")
    return CLASSES[klass], {field: given[name] for name, field in _FIELDS.items() if name in given}
