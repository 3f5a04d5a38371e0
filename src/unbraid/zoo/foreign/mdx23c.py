"""MDX23C by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.errors import WeightsError
from unbraid.zoo.foreign.sections import (
    known_section,
    listed,
    require,
    said_frames,
    section,
    sources_of,
    taken,
    unnamed,
)
from unbraid.zoo.foreign.shapes import count, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHITECTURE = "mdx23c"

_AUDIO = {
    "num_channels": "audio_channels",
    "sample_rate": "sample_rate",
    "n_fft": "n_fft",
    "hop_length": "hop_length",
    "dim_f": "bins",
}
_MODEL = {
    "num_subbands": "subbands",
    "num_channels": "channels",
    "growth": "growth",
    "num_scales": "levels",
    "scale": "scale",
    "num_blocks_per_scale": "blocks",
    "bottleneck_factor": "bottleneck",
}
_EMBODIED = {"norm": "InstanceNorm", "act": "gelu"}
_IDLE = {"name"}  # of the file where training went on from


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.mdx23c` that a file describes.

    Args:
        file: The parsed file: sections `audio`, `model` and `training`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` has an unknown key, or the file asks for what the network does not
            do.
    """
    audio = section(file, "audio")
    model = known_section(file, "model", {*_MODEL, *_EMBODIED, *_IDLE})
    require(model, _EMBODIED)
    config = {"sources": sources_of(file), **taken(audio, _AUDIO), **taken(model, _MODEL)}
    return {**config, "scale": listed(model, "scale", (2, 2)), **said_frames(file, 1024)}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    Two channels are assumed, and that bins become fewer by the same factor as frames where a kernel does not
    say; names of sources, the STFT's sizes and the number of frames no shape tells.

    Args:
        shapes: Of the published weights.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of an MDX23C.
    """
    channels, folded, *_ = shape_of(shapes, "first_conv.weight", 4)
    narrow, bins = shape_of(shapes, "bottleneck_block.blocks.0.tdf.2.weight", 2)
    estimated = shape_of(shapes, "final_conv.2.weight", 4)[0]
    levels = count(shapes, "encoder_blocks.")
    growth, scale = 0, [2, 2]
    if levels:
        wider, *_, frames, across = shape_of(shapes, "encoder_blocks.0.downscale.conv.2.weight", 4)
        growth, scale = wider - channels, [frames, across]
    subbands = folded // 4
    if folded % 4 or not folded or estimated % folded or not narrow:
        raise WeightsError(
            f"weights of an MDX23C have 4 channels a sub-band for each source, not {folded} and {estimated}"
        )
    return {
        "sources": unnamed(estimated // folded),
        "audio_channels": 2,
        "bins": bins * scale[1] ** levels * subbands,
        "subbands": subbands,
        "channels": channels,
        "growth": growth,
        "levels": levels,
        "scale": scale,
        "blocks": count(shapes, "bottleneck_block.blocks."),
        "bottleneck": bins // narrow,
    }
