"""The two published versions of Bandit, from a package that carries both."""

from __future__ import annotations

from pymss_core.modules.bandit.core.model.bsrnn.wrapper import MultiMaskMultiSourceBandSplitRNNSimple
from pymss_core.modules.bandit_v2.bandit import Bandit


def first(config):
    """The first version of a configuration of `unbraid.networks.bandit`; it hears one channel."""
    return MultiMaskMultiSourceBandSplitRNNSimple(in_channel=1, band_specs="musical", **_options(config))


def second(config):
    """The second version; it takes any channels, and hears each on its own."""
    return Bandit(in_channels=1, band_type="musical", **_options(config))


def _options(config):
    return {
        "stems": list(config.sources),
        "fs": config.sample_rate,
        "n_bands": config.bands,
        "n_sqm_modules": config.layers,
        "emb_dim": config.features,
        "rnn_dim": config.hidden_size,
        "rnn_type": config.recurrence.name,
        "mlp_dim": config.mask_hidden_size,
        "n_fft": config.n_fft,
        "win_length": config.n_fft,
        "hop_length": config.hop_length,
        "pad_mode": config.padding.value,
    }
