"""Networks around pictures: what a YAML file of Music-Source-Separation-Training says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import known_section, said_frames, sources_of, taken, unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# From a key of `audio` to our field; the others follow from these, or are of training alone.
_AUDIO: Mapping[str, str] = {
    "n_fft": "n_fft",
    "hop_length": "hop_length",
    "dim_f": "bins",
    "num_channels": "audio_channels",
    "sample_rate": "sample_rate",
}
_AUDIO_IDLE = frozenset({"chunk_size", "dim_t", "min_mean_abs"})
_MODEL: Mapping[str, str] = {"num_channels": "channels", "num_subbands": "bands", "act": "activation"}


def picture_config(yaml: Mapping[str, Any], own: Mapping[str, str], idle: Iterable[str]) -> dict[str, Any]:
    """Our configuration from a file's `audio`, `model` and `training`.

    Args:
        yaml: The file.
        own: From a key of `model` that this network alone has to our field.
        idle: Keys of `model` that only training needs.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If a key is unknown, or a section is missing.
    """
    missing = [section for section in ("audio", "model", "training") if section not in yaml]
    if missing:
        raise ConfigError(f"the file has no section {' and no '.join(missing)}")
    fields = {**_MODEL, **own}
    audio = known_section(yaml, "audio", {*_AUDIO, *_AUDIO_IDLE})
    model = known_section(yaml, "model", {*fields, *idle})
    return {
        **taken(audio, _AUDIO),
        **taken(model, fields),
        **said_frames(yaml, 512),
        "sources": sources_of(yaml),
    }


def sizes_from_shapes(shapes: Mapping[str, tuple[int, ...]], audio_channels: int) -> dict[str, Any]:
    """What the convolutions around a picture tell; sources are numbered.

    Raises:
        ConfigError: If there are none.
    """
    try:
        channels, features = shapes["first_conv.weight"][:2]
        found = shapes["final_conv.2.weight"][0]
    except KeyError as error:
        raise ConfigError(f"these are no weights of a network around pictures: no {error.args[0]}") from error
    sources = unnamed(found // features)
    return {"channels": channels, "bands": features // (2 * audio_channels), "sources": sources}
