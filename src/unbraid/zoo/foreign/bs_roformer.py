"""BS-RoFormer as Music-Source-Separation-Training describes it, and as its weights' shapes tell.

`use_shared_bias` is the word of programs that carry the network of one published file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.roformer import layers_of, shared, widths_of
from unbraid.zoo.foreign.sections import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS: Mapping[str, str] = {
    "freqs_per_bands": "bands",
    "mask_estimator_depth": "mask_layers",
    "use_shared_bias": "bias",
    "use_pope": "position",
}


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration of the network that a file describes.

    Args:
        yaml: The whole file, parsed: sections model, audio, training, inference.

    Raises:
        ConfigError: If a key of the model is unknown, a necessary one missing, or the network one that we
            cannot make.

    >>> found = config_of({"model": {"dim": 64, "depth": 2}, "training": {"instruments": ["vocals"]}})
    >>> found["channels"], found["sources"], found["hop_length"]
    (64, ['vocals'], 512)
    """
    found = shared(yaml, _FIELDS, frozenset(), "bs_roformer")
    # Its linear layers are counted, ours between the first and the last.
    found["mask_layers"] = whole_number(found, "mask_layers", 2) - 1
    found["position"] = "polar" if found.get("position") else "rotary"
    return found


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Our configuration of the network whose weights have these shapes, as far as they tell.

    They tell no names, rates, hops and segments, nor whether the mean is taken off or outputs skip layers:
    for these the defaults hold. Two channels are assumed if that makes a frame a power of two, otherwise one.

    Args:
        shapes: Of each weight, by name.

    Raises:
        ConfigError: If these are not the shapes of a BS-RoFormer's weights.
    """
    try:
        found, widths = layers_of(shapes), widths_of(shapes)
    except (LookupError, ValueError) as error:
        raise ConfigError(f"these are not the weights of a BS-RoFormer: {error!r}") from error
    channels = 2 if _is_frame(sum(widths), 2) or not _is_frame(sum(widths), 1) else 1
    polar = any(".pope_embed." in name for name in shapes)
    return {
        **found,
        "audio_channels": channels,
        "bands": [width // (2 * channels) for width in widths],
        "n_fft": 2 * (sum(widths) // (2 * channels) - 1),
        "position": "polar" if polar else "rotary",
        "bias": any(name.endswith(".to_qkv.bias") for name in shapes),
    }


def _is_frame(numbers: int, channels: int) -> bool:
    """Whether so many numbers are the spectrum of frames of a power of two."""
    bins, left = divmod(numbers, 2 * channels)
    return not left and bins > 2 and (bins - 1) & (bins - 2) == 0
