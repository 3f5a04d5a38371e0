"""Bandit, of both versions, by its configuration file and by the shapes of its weights."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, WeightsError
from unbraid.networks.layers.musical_bands import musical_bands
from unbraid.zoo.foreign.sections import known_section, listed, require, said_segment, section, taken
from unbraid.zoo.foreign.shapes import count, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHITECTURE = "bandit"

_MODEL = {
    "fs": "sample_rate",
    "n_fft": "n_fft",
    "hop_length": "hop_length",
    "pad_mode": "padding",
    "n_bands": "bands",
    "emb_dim": "features",
    "n_sqm_modules": "layers",
    "rnn_dim": "hidden_size",
    "mlp_dim": "mask_hidden_size",
}
_EMBODIED = {
    "in_channel": 1,
    "in_channels": 1,
    "band_specs": "musical",
    "band_type": "musical",
    "require_no_overlap": False,
    "require_no_gap": True,
    "normalize_channel_independently": False,
    "treat_channel_as_feature": True,
    "bidirectional": True,
    "hidden_activation": "Tanh",
    "complex_mask": True,
    "use_freq_weights": True,
    "window_fn": "hann_window",
    "wkwargs": None,
    "power": None,
    "center": True,
    "normalized": True,
    "onesided": True,
    "cond_dim": 0,
    "normalize_input": False,
    "mult_add_mask": False,
}
# Training's own, or without effect on what is computed.
_IDLE = {
    "freeze_encoder",
    "hidden_activation_kwargs",
    "stft_precisions",
    "bandsplit_precisions",
    "tf_model_precisions",
    "mask_estim_precisions",
}
# What the published classes have where a file is silent.
_SILENT = {"layers": 12, "recurrence": "lstm"}
_RATE = 44100


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.bandit` that a file describes.

    Args:
        file: The parsed file: sections `audio` and `model`, which the second version calls `kwargs`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section has an unknown key, or asks for what the network does not do.
    """
    name = "kwargs" if "kwargs" in file else "model"
    known = {*_MODEL, *_EMBODIED, *_IDLE, "stems", "win_length", "rnn_type"}
    model = known_section(file, name, known)
    require(model, {**_EMBODIED, "win_length": model.get("n_fft", 2048)})
    sources = listed(model, "stems")
    if not sources or not all(isinstance(source, str) for source in sources):
        raise ConfigError(f"the section {name!r} has stems {sources!s:.40}; they must be names")
    audio = taken(section(file, "audio"), {"num_channels": "audio_channels"}) | said_segment(file)
    recurrence = {"recurrence": str(model["rnn_type"]).lower()} if "rnn_type" in model else {}
    return {"sources": sources, **_SILENT, **audio, **taken(model, _MODEL), **recurrence}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    The sample rate, the hop and what stands beyond the edges no shape tells. The frame is that power of two
    whose musical bands are as wide as these at the published rate.

    Args:
        shapes: Of the weights by our names, as `zoo.keymaps.bandit` makes them.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of a Bandit, or no frame has such bands.
    """
    kind = "band_split.norm_fc_modules."
    widths = [shape_of(shapes, f"{kind}{band}.norm.weight", 1)[0] // 2 for band in range(count(shapes, kind))]
    features = shape_of(shapes, "band_split.norm_fc_modules.0.fc.weight", 2)[0]
    gates, _ = shape_of(shapes, "tf_model.seqband.0.rnn.weight_ih_l0", 2)
    _, hidden = shape_of(shapes, "tf_model.seqband.0.rnn.weight_hh_l0", 2)
    sources = list(dict.fromkeys(name.split(".")[1] for name in shapes if name.startswith("mask_estim.")))
    mask = shape_of(shapes, f"mask_estim.{sources[0] if sources else ''}.norm_mlp.0.hidden.0.weight", 2)
    return {
        "sources": sources,
        "n_fft": _frame(widths),
        "bands": len(widths),
        "features": features,
        "layers": count(shapes, "tf_model.seqband.") // 2,
        "recurrence": {3: "gru", 4: "lstm"}.get(gates // hidden, "neither"),
        "hidden_size": hidden,
        "mask_hidden_size": mask[0],
    }


def _frame(widths: list[int]) -> int:
    """Samples of the frame whose bands are so many bins wide."""
    for power in range(4, 16):
        with contextlib.suppress(ConfigError):  # so few bands leave gaps in so long a frame
            if [end - start for start, end in musical_bands(_RATE, 1 << power, len(widths))] == widths:
                return 1 << power
    raise WeightsError(f"there are {len(widths)} bands, but no frame has musical bands of {widths[:8]}… bins")
