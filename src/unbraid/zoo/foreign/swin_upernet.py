"""Swin UperNet: what Music-Source-Separation-Training's files say, and what the weights say by themselves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.picture import picture_config, sizes_from_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN: Mapping[str, str] = {}
_IDLE: frozenset[str] = frozenset()
_AUDIO_CHANNELS = 2
_NET = "swin_upernet_model"
_LAYER = f"{_NET}.backbone.encoder.layers.{{stage}}.blocks.{{block}}"


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
    """Our configuration as far as weights tell it: all sizes but those of the STFT, for stereo.

    Args:
        shapes: Of the weights by name.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If they are no weights of this network.
    """
    sizes = sizes_from_shapes(shapes, _AUDIO_CHANNELS)
    tables = [_tables(shapes, stage) for stage in range(4)]
    side = round(tables[0][0][0] ** 0.5)  # of a table for each distance from −(window − 1) to window − 1
    return sizes | {
        "embedding": shapes[f"{_NET}.backbone.embeddings.patch_embeddings.projection.weight"][0],
        "layers": [len(stage) for stage in tables],
        "heads": [stage[0][1] for stage in tables],
        "window": (side + 1) // 2,
        "hidden_size": shapes[f"{_NET}.decode_head.classifier.weight"][1],
    }


def _tables(shapes: Mapping[str, tuple[int, ...]], stage: int) -> list[tuple[int, ...]]:
    """Shapes of a stage's tables of position biases, layer by layer."""
    layers = (_LAYER.format(stage=stage, block=block) for block in itertools.count())
    names = (f"{layer}.attention.self.relative_position_bias_table" for layer in layers)
    found = [shapes[name] for name in itertools.takewhile(shapes.__contains__, names)]
    if not found:
        raise ConfigError(f"these are no weights of a Swin UperNet: stage {stage} has no layer")
    return found
