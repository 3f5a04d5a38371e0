"""TorchSeg: what Music-Source-Separation-Training's files say, and what the weights say by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.zoo.foreign.picture import picture_config, sizes_from_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN: Mapping[str, str] = {"encoder_name": "encoder", "decoder_type": "decoder"}
_IDLE = frozenset({"encoder_weights"})  # where training began
_AUDIO_CHANNELS = 2


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration from a YAML file.

    Args:
        yaml: With the sections `audio`, `model` and `training`.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If a key is unknown, or a section is missing.
    """
    return picture_config(yaml, _OWN, _IDLE)


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Our configuration as far as weights tell it: sizes, for stereo.

    Encoder and decoder stay the published ones.

    Args:
        shapes: Of the weights by name.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If they are no weights of this network.
    """
    return sizes_from_shapes(shapes, _AUDIO_CHANNELS)
