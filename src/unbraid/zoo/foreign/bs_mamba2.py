"""BS-Mamba2 by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.zoo.foreign.sections import (
    known_section,
    listed,
    require,
    said_segment,
    section,
    sources_of,
    taken,
    unnamed,
    whole_number,
)
from unbraid.zoo.foreign.shapes import count, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHITECTURE = "bs_mamba2"

_MODEL = {
    "dim": "channels",
    "depth": "depth",
    "stft_n_fft": "n_fft",
    "stft_hop_length": "hop_length",
    "stft_normalized": "normalized",
    "freqs_per_bands": "bands",
}
_EMBODIED = {"module_type": "mamba2", "mamba_gmlp": False}
# Of its other kinds, or of training.
_IDLE = {
    "time_module_depth",
    "freq_module_depth",
    "dim_head",
    "heads",
    "attn_dropout",
    "ff_dropout",
    "flash_attn",
    "multi_stft_resolution_loss_weight",
    "multi_stft_resolutions_window_sizes",
    "multi_stft_hop_size",
    "multi_stft_normalized",
    "audio_cfg",
}
_READ = {"stereo", "num_stems", "mask_estimator_depth", "stft_win_length"}


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.bs_mamba2` that a file describes.

    Args:
        file: The parsed file: sections `audio`, `model` and `training`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` has an unknown key, or the file asks for what the network does not
            do: its kinds with a transformer, with the first Mamba, or with gated layers.
    """
    model = known_section(file, "model", {*_MODEL, *_EMBODIED, *_IDLE, *_READ})
    names = sources_of(file, whole_number(model, "num_stems", 1))
    require(
        {"module_type": "transformer", **model},
        {
            **_EMBODIED,
            "stft_win_length": model.get("stft_n_fft", 2048),
        },
    )
    depth = whole_number(model, "mask_estimator_depth", 2)
    config = {
        "sources": names,
        "hop_length": 512,
        **taken(section(file, "audio"), {"sample_rate": "sample_rate"}),
        **said_segment(file),
        **taken(model, _MODEL),
        "audio_channels": 2 if model.get("stereo") else 1,
        "mask_layers": depth - 1,
    }
    return {**config, "bands": listed(model, "freqs_per_bands")} if "bands" in config else config


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    Two channels are assumed. Names of sources, the sample rate and the hop no shape tells.

    Args:
        shapes: Of the published weights.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of a BS-Mamba2.
    """
    mixer = "layers.0.0.forward_blocks.0.mixer."
    channels, inner = shape_of(shapes, f"{mixer}out_proj.weight", 2)
    (heads,) = shape_of(shapes, f"{mixer}D", 1)
    convolved, _, _ = shape_of(shapes, f"{mixer}conv1d.weight", 3)
    widths = [
        shape_of(shapes, f"band_split.to_features.{band}.0.gamma", 1)[0] // 4
        for band in range(count(shapes, "band_split.to_features."))
    ]
    masks = sum(
        name.startswith("mask_estimators.0.to_freqs.0.") and name.endswith(".weight") for name in shapes
    )
    hidden, _ = shape_of(shapes, "mask_estimators.0.to_freqs.0.0.0.weight", 2)
    return {
        "sources": unnamed(count(shapes, "mask_estimators.")),
        "n_fft": 2 * (sum(widths) - 1),
        "bands": widths,
        "channels": channels,
        "depth": count(shapes, "layers."),
        "state_size": (convolved - inner) // 2,
        "expansion": inner // channels,
        "head_size": inner // heads,
        "mask_layers": masks - 1,
        **({"mask_expansion": hidden // channels} if masks > 1 else {}),
    }
