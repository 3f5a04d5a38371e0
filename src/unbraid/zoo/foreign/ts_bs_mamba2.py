"""TS-BSMamba2 by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.zoo.foreign.sections import (
    known_section,
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

ARCHITECTURE = "ts_bs_mamba2"

_MODEL = {
    "sr": "sample_rate",
    "win": "n_fft",
    "stride": "hop_length",
    "feature_dim": "channels",
    "num_repeat_mask": "mask_layers",
    "num_repeat_map": "map_layers",
}


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.ts_bs_mamba2` that a file describes.

    Args:
        file: The parsed file: sections `audio`, `model` and `training`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` has an unknown key, or another number of outputs than the file has
            instruments.
    """
    model = known_section(file, "model", {*_MODEL, "num_output"})
    names = sources_of(file, whole_number(model, "num_output", 4))
    audio = taken(section(file, "audio"), {"num_channels": "audio_channels"}) | said_segment(file)
    return {"sources": names, **audio, **taken(model, _MODEL)}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    Two channels and a hop of a quarter frame are assumed. Names of sources and the sample rate no shape
    tells.

    Args:
        shapes: Of the published weights.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of a TS-BSMamba2.
    """
    mixer = "separator_mask.0.band_rnn.rnn.forward_mamba2."
    channels, inner = shape_of(shapes, f"{mixer}out_proj.weight", 2)
    (heads,) = shape_of(shapes, f"{mixer}D", 1)
    convolved, _, _ = shape_of(shapes, f"{mixer}conv1d.weight", 3)
    bins = sum(
        shape_of(shapes, f"BN_mask.{band}.0.weight", 1)[0] // 2 for band in range(count(shapes, "BN_mask."))
    )
    outputs, _, _ = shape_of(shapes, "mask.0.1.weight", 3)
    return {
        "sources": unnamed(outputs // channels),
        "n_fft": 2 * (bins - 1),
        "hop_length": (bins - 1) // 2,
        "channels": channels,
        "mask_layers": count(shapes, "separator_mask."),
        "map_layers": count(shapes, "separator_map."),
        "state_size": (convolved - inner) // 2,
        "expansion": inner // channels,
        "head_size": inner // heads,
    }
