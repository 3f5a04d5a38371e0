"""LaSAFT as its authors' Lightning checkpoints hold it.

    {"state_dict": weights, "hyper_parameters": what the network was made with, …}

    spec2spec.encoders.0.keys       becomes     encoders.0.keys
    stft.stft.window                is left out: a Hann window

Source: the published code, github.com/ws-choi/Conditioned-Source-Separation-LaSAFT (names and settings).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unbraid.zoo.keymaps.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_PREFIX = re.compile(r"^(conditional_)?spec2spec\.")


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"spec2spec.mid_block.keys": 1, "stft.stft.window": 2, "embedding.weight": 3})
    {'mid_block.keys': 1, 'embedding.weight': 3}
    """
    return {_PREFIX.sub("", name): weight for name, weight in state.items() if name != "stft.stft.window"}


def made_with(settings: Mapping[str, object]) -> dict[str, object]:
    """Those of a checkpoint's settings that make the network; the others are of its training.

    >>> made_with({"n_fft": 4096, "lr": 0.0001})
    {'n_fft': 4096}
    """
    known = ARGUMENTS.fields.keys() | ARGUMENTS.fixed.keys()
    return {name: value for name, value in settings.items() if name in known}


def _half(channels: object) -> object:
    """Of features, which are real and imaginary parts."""
    return channels // 2 if isinstance(channels, int) else channels


ARGUMENTS = Arguments(
    architecture="lasaft",
    fields={
        "input_channels": "audio_channels",
        "n_fft": "n_fft",
        "hop_length": "hop_length",
        "num_frame": "frames",
        "n_blocks": "blocks",
        "internal_channels": "channels",
        "n_internal_layers": "block_layers",
        "kernel_size_t": "kernel_size",
        "bn_factor": "bottleneck_factor",
        "min_bn_units": "least_bottleneck",
        "num_tdfs": "latent_sources",
        "dk": "key_size",
        "embedding_dim": "embedding_size",
        "control_n_layer": "control_layers",
    },
    fixed={
        "spec_type": "complex",
        "spec_est_mode": "mapping",
        "first_conv_activation": "relu",
        "last_activation": "identity",
        "tfc_tdf_activation": "relu",
        "tfc_tdf_bias": False,
        "t_down_layers": None,
        "f_down_layers": None,
        "control_vector_type": "embedding",
        "control_type": "dense",
        "condition_to": "decoder",
        "pocm_type": "matmul",
        "pocm_norm": "batch_norm",
    },
    values={"input_channels": _half},
    rename=rename,
)
