"""The published classes of SCNet's kinds, from a package that carries their files.

Their packages' beginnings would import other networks, and what those need; so folders stand in for them, and
only the files that are asked for are executed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from types import ModuleType
from unittest import mock

_FOLDERS = ("msst", "msst.models", "msst.models.scnet", "msst.models.bs_roformer")


def published(config):
    """The published network of a configuration.

    Args:
        config: A `Config` of `unbraid.networks.scnet`, not standardized.
    """
    options = {
        "sources": list(config.sources),
        "audio_channels": config.audio_channels,
        "dims": [2 * config.audio_channels, *config.widths],
        "nfft": config.n_fft,
        "hop_size": config.hop_length,
        "win_size": config.n_fft,
        "band_SR": [band.share for band in config.bands],
        "band_stride": [band.stride for band in config.bands],
        "band_kernel": [band.kernel_size for band in config.bands],
        "conv_depths": [band.depth for band in config.bands],
        "compress": config.compress,
        "conv_kernel": config.kernel_size,
        "num_dplayer": config.layers,
        "expand": config.expand,
    }
    if config.masked:
        return _module("scnet_masked").SCNet(**options)
    if config.attention is None:
        return _module("scnet").SCNet(**options)
    return _module("scnet_tran").SCNet_Tran(
        **options,
        tran_rotary_embedding_dim=config.attention.head_channels,
        tran_depth=config.attention.depth,
        tran_heads=config.attention.heads,
        tran_dim_head=config.attention.head_channels,
    )


def weights_of(network):
    """The published network's weights, without a convolution that it has and never uses."""
    return {name: value for name, value in network.state_dict().items() if name != "first_conv.weight"}


def _module(name):
    """A file of the package, executed without what is around it."""
    root = importlib.metadata.distribution("msst")
    stand_ins = {}
    for folder in _FOLDERS:
        stand_ins[folder] = ModuleType(folder)
        stand_ins[folder].__path__ = [str(root.locate_file(folder.replace(".", "/")))]
    with mock.patch.dict(sys.modules, stand_ins):
        return importlib.import_module(f"msst.models.scnet.{name}")
