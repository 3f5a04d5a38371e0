"""MDX23C and Apollo as an independent package has them."""

from __future__ import annotations

import torch
from pymss_core.config import to_attrdict
from pymss_core.modules.look2hear.apollo import Apollo
from pymss_core.modules.mdx23c_tfc_tdf_v3 import TFC_TDF_net


def published_mdx23c(config, *, target=None):
    """The published network of a configuration.

    Args:
        config: A `Config` of `unbraid.networks.mdx23c`.
        target: The one instrument of those in its configuration file that it estimates; None: all.
    """
    network = TFC_TDF_net(
        to_attrdict(
            {
                "audio": {
                    "n_fft": config.n_fft,
                    "hop_length": config.hop_length,
                    "dim_f": config.bins,
                    "num_channels": config.audio_channels,
                },
                "model": {
                    "norm": "InstanceNorm",
                    "act": "gelu",
                    "num_subbands": config.subbands,
                    "num_scales": config.levels,
                    "scale": list(config.scale),
                    "num_blocks_per_scale": config.blocks,
                    "num_channels": config.channels,
                    "growth": config.growth,
                    "bottleneck_factor": config.bottleneck,
                },
                "training": {
                    "instruments": [*config.sources, "what else its file names"],
                    "target_instrument": target,
                }
                if target
                else {"instruments": list(config.sources), "target_instrument": None},
            }
        )
    )
    network.stft.window = torch.hann_window(config.n_fft, dtype=torch.get_default_dtype())
    return network


def published_apollo(config):
    """The published network of a configuration of `unbraid.networks.apollo`, at 44.1 kHz and 20 ms."""
    return Apollo(sr=44100, win=20, feature_dim=config.channels, layer=config.layers)
