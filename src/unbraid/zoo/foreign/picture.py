"""Networks around pictures: what a YAML file of Music-Source-Separation-Training says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, did_you_mean

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
    audio, model = yaml["audio"], yaml["model"]
    config = _renamed(audio, _AUDIO, _AUDIO_IDLE, "audio") | _renamed(model, {**_MODEL, **own}, idle, "model")
    if "chunk_size" in audio and "hop_length" in audio:
        config["frames"] = audio["chunk_size"] // audio["hop_length"] + 1
    training = yaml["training"]
    target = training.get("target_instrument")
    config["sources"] = [target] if target else list(training["instruments"])
    return config


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
    sources = [f"source_{number}" for number in range(1, found // features + 1)]
    return {"channels": channels, "bands": features // (2 * audio_channels), "sources": sources}


def _renamed(
    section: Mapping[str, Any], fields: Mapping[str, str], idle: Iterable[str], where: str
) -> dict[str, Any]:
    known = [*fields, *idle]
    for key in section:
        if key not in known:
            raise ConfigError(f"{where} has an unknown key {key!r}{did_you_mean(str(key), known)}")
    return {ours: section[theirs] for theirs, ours in fields.items() if theirs in section}
