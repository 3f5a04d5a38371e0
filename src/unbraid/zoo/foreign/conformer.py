"""Conformer by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.zoo.foreign.sections import (
    known_section,
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

ARCHITECTURE = "conformer"

_MODEL = {
    "in_channels": "audio_channels",
    "embed_dim": "channels",
    "depth": "depth",
    "heads": "heads",
    "dim_head": "head_channels",
    "ff_mult": "expansion",
    "conv_expansion_factor": "convolution_expansion",
    "conv_kernel_size": "kernel_size",
}
_IDLE = {"attn_dropout", "ff_dropout", "conv_dropout"}  # which reach no block of the published code
_STFT = {"n_fft": "n_fft", "hop_length": "hop_length"}


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.conformer` that a file describes.

    Args:
        file: The parsed file: sections `audio`, `model`, `stft` and `training`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` or `stft` has an unknown key, or sections contradict each other.
    """
    model = known_section(file, "model", {*_MODEL, *_IDLE, "sources", "freq_bins"})
    stft = known_section(file, "stft", {*_STFT, "win_length", "center"})
    n_fft = whole_number(stft, "n_fft", 4096)
    names = sources_of(file, whole_number(model, "sources", 2))
    require(stft, {"win_length": n_fft, "center": True})
    require({"freq_bins": 2049, **model}, {"freq_bins": n_fft // 2 + 1})
    audio = taken(section(file, "audio"), {"sample_rate": "sample_rate"}) | said_segment(file)
    return {"sources": names, **audio, **taken(stft, _STFT), **taken(model, _MODEL)}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    Two channels and a hop of a quarter frame are assumed. Names of sources and the sample rate no shape
    tells.

    Args:
        shapes: Of the published weights.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of a Conformer.
    """
    block = "core.model.layers.0."
    channels, features = shape_of(shapes, "core.input_proj_stft.weight", 2)
    outputs, _ = shape_of(shapes, "core.output_proj.weight", 2)
    inner, _ = shape_of(shapes, f"{block}attn.fn.to_q.weight", 2)
    _, head = shape_of(shapes, f"{block}attn.fn.rel_pos_emb.weight", 2)
    wide, _ = shape_of(shapes, f"{block}ff1.fn.fn.net.0.weight", 2)
    convolved, _, kernel = shape_of(shapes, f"{block}conv.net.4.conv.weight", 3)
    n_fft = features - 2  # of two channels, n_fft / 2 + 1 bins each
    return {
        "sources": unnamed(outputs // (2 * features)),
        "n_fft": n_fft,
        "hop_length": n_fft // 4,
        "channels": channels,
        "depth": count(shapes, "core.model.layers."),
        "heads": inner // head,
        "head_channels": head,
        "expansion": wide // channels,
        "convolution_expansion": convolved // channels,
        "kernel_size": kernel,
    }
