"""Sections of a configuration file of Music-Source-Separation-Training, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def section(file: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a file; an empty one if it is not there.

    Raises:
        ConfigError: If it is no mapping.
    """
    found = file.get(name) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"the section {name!r} is {found!s:.40}; it must be a mapping")
    return found


def known_section(file: Mapping[str, Any], name: str, known: Collection[str]) -> Mapping[str, Any]:
    """A section all of whose keys must be known.

    Raises:
        ConfigError: If one is not; the nearest known ones are offered.

    >>> known_section({"model": {"num_chanels": 64}}, "model", ["num_channels"])
    Traceback (most recent call last):
    ...
    unbraid.errors.ConfigError: unknown key 'num_chanels' in the section 'model'; did you mean num_channels?
    """
    found = section(file, name)
    for key in found:
        if key not in known:
            near = did_you_mean(str(key), known) or "; known are " + ", ".join(sorted(known))
            raise ConfigError(f"unknown key {key!r} in the section {name!r}{near}")
    return found


def taken(found: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The values of a section under our names, as far as it has them.

    Args:
        found: The section.
        fields: From its key to our field.

    >>> taken({"nfft": 4096, "expand": 1}, {"nfft": "n_fft", "compress": "compress"})
    {'n_fft': 4096}
    """
    return {ours: found[key] for key, ours in fields.items() if key in found}


def listed(found: Mapping[str, Any], key: str, default: Sequence[Any] = ()) -> list[Any]:
    """The list under a key of a section.

    Args:
        found: The section.
        key: Of the list.
        default: What it is where the file is silent.

    Raises:
        ConfigError: If something else stands there.
    """
    value = found.get(key, default)
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"the file asks for {key} = {value!s:.40}; it must be a list")
    return list(value)


def require(found: Mapping[str, Any], values: Mapping[str, object]) -> None:
    """Make sure that what a section says is what our network does.

    Args:
        found: The section.
        values: What its keys must be, where they stand.

    Raises:
        ConfigError: If one is another.
    """
    for key, value in values.items():
        if key in found and found[key] != value:
            raise ConfigError(f"the file asks for {key} = {found[key]!s:.40}; this network has {value}")


def sources(file: Mapping[str, Any]) -> list[str]:
    """Names of what a network of this file estimates: one target, or all instruments.

    Raises:
        ConfigError: If they are no names.
    """
    training = section(file, "training")
    target = training.get("target_instrument")
    names = [target] if target else listed(training, "instruments")
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"the section 'training' has instruments {names!s:.40}; they must be names")
    return names


def unnamed(count: int) -> list[str]:
    """Names of so many sources, of which nothing is known.

    >>> unnamed(2)
    ['source_1', 'source_2']
    """
    return [f"source_{number}" for number in range(1, count + 1)]
