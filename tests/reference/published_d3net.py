"""The published D3Net itself, on torch: `d3net-spleeterweb` 0.1.3 has its authors' code unchanged."""

from __future__ import annotations

import contextlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import SimpleNamespace

from reference.nnabla_on_torch import modules

# Imported by the published code for what is not needed here.
_IDLE = ("librosa", "pydub", "pydub.utils", "sklearn")


@contextlib.contextmanager
def published_d3net(parameters):
    """Its network, what runs it in patches, and its Wiener filter, while the context lasts.

    Args:
        parameters: `reference.nnabla_on_torch.Parameters`, which are read or made.
    """
    idle = {name: module_from_spec(ModuleSpec(name, None)) for name in _IDLE}
    stand_ins = modules(parameters) | idle
    stand_ins["pydub"].AudioSegment = stand_ins["pydub.utils"].mediainfo = None
    before = dict(sys.modules)
    sys.modules.update(stand_ins)
    try:
        from d3net.filter import apply_mwf
        from d3net.model import D3NetMSS
        from d3net.util import model_separate

        yield SimpleNamespace(network=D3NetMSS, in_patches=model_separate, wiener=apply_mwf)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "d3net" or name in stand_ins]:
            del sys.modules[name]
        sys.modules.update({name: before[name] for name in stand_ins if name in before})


def hyper_parameters(config, target):
    """What the published code takes in the place of our configuration of one source."""
    return {
        "n_channels": config.audio_channels,
        "fft_size": config.n_fft,
        "valid_signal_idx": config.bins,
        "band_split_idxs": list(target.edges),
        "num_init_features": [band.features for band in target.bands],
        "num_layer_blocks": [list(band.layers) for band in target.bands],
        "dens_k": [list(band.growth) for band in target.bands],
        "b_n_blocks": [[band.blocks] * len(band.layers) for band in target.bands],
        "comp_rates": [[1.0] * len(band.layers) for band in target.bands],
        "f_num_init_features": target.full.features,
        "f_num_layer_block": list(target.full.layers),
        "f_dens_k": list(target.full.growth),
        "f_n_blocks": [target.full.blocks] * len(target.full.layers),
        "f_comp_rates": [1.0] * len(target.full.layers),
        "ttl_num_layer_block": config.final_layers,
        "ttl_dens_k": config.final_growth,
        "test_patch_len": target.patch,
        "out_shift": target.patch // 2,
    }
