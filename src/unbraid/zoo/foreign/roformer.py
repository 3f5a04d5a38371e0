"""What files of Music-Source-Separation-Training say alike of BS-RoFormer and Mel-Band RoFormer.

Where a key is missing, the program's own default holds.

Source: github.com/ZFTurbo/Music-Source-Separation-Training (arguments of its classes, as of 2026).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import (
    RATE,
    known_section,
    said_segment,
    section,
    sources_of,
    taken,
    unnamed,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS: Mapping[str, str] = {
    "dim": "channels",
    "depth": "depth",
    "time_transformer_depth": "time_layers",
    "freq_transformer_depth": "band_layers",
    "linear_transformer_depth": "linear_layers",
    "dim_head": "head_channels",
    "heads": "heads",
    "attn_dropout": "attention_dropout",
    "ff_dropout": "dropout",
    "stft_n_fft": "n_fft",
    "stft_hop_length": "hop_length",
    "stft_normalized": "normalized",
    "zero_dc": "zero_dc",
    "mlp_expansion_factor": "mask_expansion",
    "skip_connection": "skip_connection",
}
_DEFAULTS: Mapping[str, Any] = {"time_layers": 2, "band_layers": 2, "hop_length": 512, "zero_dc": True}
# How it runs, how it is trained, what it is called: no word of what the network computes.
_IGNORED = frozenset(
    {
        "stereo",  # these two are read by name
        "num_stems",
        "type",
        "model_type",
        "architecture",
        "flash_attn",
        "sage_attention",
        "sage_attention_mode",
        "attention_layout",
        "use_torch_checkpoint",
        "dim_freqs_in",
        "stft_win_length",
        "multi_stft_resolution_loss_weight",
        "multi_stft_resolutions_window_sizes",
        "multi_stft_hop_size",
        "multi_stft_normalized",
    }
)


def shared(
    yaml: Mapping[str, Any], fields: Mapping[str, str], ignored: frozenset[str], where: str
) -> dict[str, Any]:
    """What both kinds say alike, as fields of our configuration.

    Args:
        yaml: The file.
        fields: Keys of the section `model` that only this kind has, and our fields.
        ignored: Keys that only this kind has and that say nothing.
        where: The network's name, for the error's sentence.

    Raises:
        ConfigError: If a key is unknown, a necessary one missing, or the network one that we cannot make.
    """
    fields = {**_FIELDS, **fields}
    model = known_section(yaml, "model", {*fields, *_IGNORED, *ignored})
    missing = [key for key in ("dim", "depth") if key not in model]
    if missing:
        raise ConfigError(f"model of {where}: missing key {missing[0]!r}")
    n_fft = whole_number(model, "stft_n_fft", 2048)
    window = whole_number(model, "stft_win_length", n_fft)
    if window != n_fft:
        raise ConfigError(
            f"model of {where}: stft_win_length is {window} and stft_n_fft {n_fft}; they must be equal"
        )
    return {
        **_DEFAULTS,
        **taken(model, fields),
        "sources": sources_of(yaml, whole_number(model, "num_stems", 1)),
        "audio_channels": 2 if model.get("stereo", False) else 1,
        "sample_rate": whole_number(section(yaml, "audio"), "sample_rate", RATE),
        "segment": 8 * RATE,
        **said_segment(yaml),
    }


def widths_of(shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
    """Numbers of each band, from the lowest: real and imaginary parts of all channels of its bins."""
    bands = _count(shapes, r"band_split\.to_features\.(\d+)\.")
    return [shapes[f"band_split.to_features.{band}.1.weight"][1] for band in range(bands)]


def layers_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What a network's layers and masks say by their shapes.

    Raises:
        KeyError: If these are not the shapes of a RoFormer's weights.
    """
    depth, axes = _count(shapes, r"layers\.(\d+)\."), _count(shapes, r"layers\.0\.(\d+)\.")
    *across, time, band = (_count(shapes, rf"layers\.0\.{axis}\.layers\.(\d+)\.") for axis in range(axes))
    attention = f"layers.0.{axes - 1}.layers.0.0"
    heads, channels = shapes[f"{attention}.to_gates.weight"]
    stems = _count(shapes, r"mask_estimators\.(\d+)\.")
    linears = _first_mask(shapes)
    found = {
        "sources": unnamed(stems),  # names are not among shapes
        "channels": channels,
        "depth": depth,
        "linear_layers": sum(across),
        "time_layers": time,
        "band_layers": band,
        "heads": heads,
        "head_channels": shapes[f"{attention}.to_out.0.weight"][1] // heads,
        "mask_layers": mask_layers_of(shapes),
    }
    return found | ({"mask_expansion": linears[0][0] // channels} if len(linears) > 1 else {})


def mask_layers_of(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many hidden layers a mask has, between a band's token and it."""
    return len(_first_mask(shapes)) - 1


def _first_mask(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Shapes of the matrices that make the first mask, from its token on."""
    return [
        shape for name, shape in sorted(shapes.items()) if re.match(_FIRST_MASK, name) and len(shape) == 2
    ]


_FIRST_MASK = r"mask_estimators\.0\.to_freqs\.0\.0\.\d+\.weight$"


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """How many numbers, from 0, stand where the pattern has its group."""
    found = (re.match(pattern, name) for name in shapes)
    return 1 + max((int(match[1]) for match in found if match), default=-1)
