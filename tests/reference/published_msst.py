"""Published networks of Music-Source-Separation-Training, from the package that carries their files.

The package's own beginnings would import much that no network needs. So folders stand in for them, and only
the files that are asked for are executed. What these import and is not here is stood in for, too.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import sys
from types import ModuleType
from unittest import mock

import torch
from torch import nn

_FOLDERS = ("msst", "msst.models", "msst.models.bs_mamba2_code")


def published(name, **stand_ins):
    """A module of the package's `models`.

    Args:
        name: Of the module.
        stand_ins: Modules that it imports.
    """
    root = importlib.metadata.distribution("msst")
    folders = {}
    for folder in _FOLDERS:
        folders[folder] = ModuleType(folder)
        folders[folder].__path__ = [str(root.locate_file(folder.replace(".", "/")))]
    with mock.patch.dict(sys.modules, {**folders, **stand_ins}), contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module(f"msst.models.{name}")


def in_one_chunk(network):
    """The published state space, without its chunks.

    They ask for a multiple of 64 tokens, and let each row decay between them as the first does. Of one row
    alone, or of one chunk, they are right.
    """
    for module in network.modules():
        if type(module).__name__ == "Mamba2":
            module.register_forward_pre_hook(_takes_all_at_once)
    return network


def _takes_all_at_once(module, inputs):
    module.chunk_size = inputs[0].shape[1]


def ts_bs_mamba2(config):
    """The published network of a configuration of `unbraid.networks.ts_bs_mamba2`."""
    with contextlib.redirect_stdout(io.StringIO()):
        network = published("ts_bs_mamba2").Separator(
            sr=config.sample_rate,
            win=config.n_fft,
            stride=config.hop_length,
            feature_dim=config.channels,
            num_repeat_mask=config.mask_layers,
            num_repeat_map=config.map_layers,
            num_output=len(config.sources),
        )
    return in_one_chunk(network)


class _Block(nn.Module):
    """What `mamba_ssm` has around a mixer: the residual is handed on beside what is added to it."""

    def __init__(self, dim, mixer_cls, norm_cls, **_):
        super().__init__()
        self.norm, self.mixer = norm_cls(dim), mixer_cls(dim)

    def forward(self, hidden, residual, **_):
        residual = hidden if residual is None else hidden + residual
        return self.mixer(self.norm(residual)), residual


def _stays(module, n_layer):
    """First weights, which are replaced."""


def bs_mamba2(config):
    """The published network of a configuration of `unbraid.networks.bs_mamba2`.

    Its state spaces are those that `ts_bs_mamba2` falls back to; `mamba_ssm` is for CUDA.
    """
    mixer = published("ex_bi_mamba2").Mamba2

    def mamba2(dim, *, layer_idx, expand):
        del layer_idx
        return mixer(dim, expand=expand, d_state=config.state_size, headdim=config.head_size)

    names = {
        "mamba_ssm.modules.mamba_simple": {"Mamba": None},
        "mamba_ssm.modules.mamba2": {"Mamba2": mamba2},
        "mamba_ssm.modules.block": {"Block": _Block},
        "mamba_ssm.models.mixer_seq_simple": {"_init_weights": _stays},
        "mamba_ssm.ops.triton.layer_norm": {"RMSNorm": nn.RMSNorm},
        "mamba_ssm.modules.mlp": {"GatedMLP": None},
        "msst.models.bs_mamba2_code.attend_mamba": {"Attend": None},
        "beartype": {"beartype": lambda function: function},
        "beartype.typing": {"Tuple": tuple},
        "rotary_embedding_torch": {"RotaryEmbedding": None},
    }
    stand_ins = {}
    for name, content in names.items():
        stand_ins[name] = ModuleType(name)
        stand_ins[name].__dict__.update(content)
    module = published("bs_mamba2_code.bs_mamba2", **stand_ins)
    network = module.BSMamba2Model(
        config.channels,
        depth=config.depth,
        stereo=config.audio_channels == 2,
        num_stems=len(config.sources),
        freqs_per_bands=config.bands,
        stft_n_fft=config.n_fft,
        stft_hop_length=config.hop_length,
        stft_win_length=config.n_fft,
        mask_estimator_depth=config.mask_layers + 1,
        module_type="mamba2",
    )
    network.stft_window_fn = functools.partial(torch.hann_window, config.n_fft)  # 2048, whatever the frame
    return in_one_chunk(network)


def conformer(config):
    """The published network of a configuration of `unbraid.networks.conformer`."""
    module = published("conformer_model")
    core = module.NeuralModel(
        in_channels=config.audio_channels,
        sources=len(config.sources),
        freq_bins=config.n_fft // 2 + 1,
        embed_dim=config.channels,
        depth=config.depth,
        dim_head=config.head_channels,
        heads=config.heads,
        ff_mult=config.expansion,
        conv_expansion_factor=config.convolution_expansion,
        conv_kernel_size=config.kernel_size,
    )
    return module.ConformerMSS(core, config.n_fft, config.hop_length)
