"""A YAML file of Music-Source-Separation-Training section by section: every key is known, or an error.

What is given here has been parsed: mappings, lists and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RATE = 44100  # Hz, where a file does not say


def section(file: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section by name; empty if the file has none.

    Raises:
        ConfigError: If it is there and holds no keys.
    """
    found = file.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"the section {name!r} must hold keys with values, not {found!r:.60}")
    return found


def require_known(found: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Make sure that each key is known.

    Args:
        found: What has the keys.
        known: All that it may have.
        where: What it is, for the error's sentence.

    Raises:
        ConfigError: If some are not; says each, with the nearest or all that are known.

    >>> require_known({"num_chanels": 64}, ["num_channels"], "the section 'model'")
    Traceback (most recent call last):
    ...
    unbraid.errors.ConfigError: unknown key 'num_chanels' in the section 'model'; did you mean num_channels?
    """
    known = sorted(known)
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        near = (did_you_mean(key, known) or "; known are " + ", ".join(known) for key in unknown)
        faults = (f"unknown key {key!r} in {where}{end}" for key, end in zip(unknown, near, strict=True))
        raise ConfigError(", ".join(faults))


def known_section(file: Mapping[str, Any], name: str, known: Iterable[str]) -> Mapping[str, Any]:
    """A section all of whose keys must be known.

    Args:
        file: The file.
        name: Of the section.
        known: All keys that it may have.

    Raises:
        ConfigError: If one is not; the nearest known ones are offered.
    """
    found = section(file, name)
    require_known(found, known, f"the section {name!r}")
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


def whole_number(found: Mapping[str, Any], key: str, default: int) -> int:
    """A value that must be a whole number.

    Raises:
        ConfigError: If it is none.
    """
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{key} must be a whole number, not {value!r:.60}")
    return value


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


def target_of(file: Mapping[str, Any]) -> str | None:
    """The one instrument that a network was trained for; None: all of the file's.

    Raises:
        ConfigError: If it is no name.
    """
    target = section(file, "training").get("target_instrument")
    if target is not None and (not isinstance(target, str) or not target):
        raise ConfigError(f"target_instrument must be a name, or null, not {target!r:.60}")
    return target


def instruments_of(file: Mapping[str, Any]) -> list[str]:
    """All names of the section `training`, as they stand.

    Raises:
        ConfigError: If they are no names.
    """
    names = section(file, "training").get("instruments")
    found = [] if names is None else names
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"the section 'training' has instruments {names!s:.60}; they must be names")
    return list(found)


def sources_of(file: Mapping[str, Any], stems: int | None = None) -> list[str]:
    """Names of what a network estimates, in our spelling: its target, or else all instruments.

    Args:
        file: The file.
        stems: How many the network estimates; None: the file does not say.

    Raises:
        ConfigError: If the file names none, or another number of them.

    >>> sources_of({"training": {"instruments": ["Vocals", "lead-guitar"], "target_instrument": None}}, 2)
    ['vocals', 'lead_guitar']
    """
    target, instruments = target_of(file), instruments_of(file)
    # A network of several may be listened to for one of them.
    named = [target] if target and not (stems == len(instruments) > 1) else instruments
    if not named or stems not in {None, len(named)}:
        raise ConfigError(
            f"the network estimates {stems or 'some'} sources, but the section 'training' names "
            f"{named!s:.200}; target_instrument names the only one, or instruments as many as there are"
        )
    return [spelt(name) for name in named]


def spelt(name: str) -> str:
    """A source's name in our spelling.

    >>> spelt("Lead Guitar")
    'lead_guitar'
    """
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


def unnamed(count: int) -> list[str]:
    """Names of so many sources, of which nothing is known.

    >>> unnamed(2)
    ['source_1', 'source_2']
    """
    return [f"source_{number}" for number in range(1, count + 1)]


def said_segment(file: Mapping[str, Any]) -> dict[str, int]:
    """Samples that a network is given at once, as the field `segment`, if the file says them.

    What it says for inference counts more than what it says of audio.

    >>> said_segment({"audio": {"chunk_size": 2}, "inference": {"chunk_size": 3}}), said_segment({})
    ({'segment': 3}, {})
    """
    for name in ("inference", "audio"):
        found = section(file, name)
        if found.get("chunk_size") is not None:
            return {"segment": whole_number(found, "chunk_size", 0)}
    return {}


def said_frames(file: Mapping[str, Any], hop_length: int) -> dict[str, int]:
    """Frames of a segment, as the field `frames`, if the file says how long one is.

    Args:
        file: The file.
        hop_length: Samples between two frames.

    Raises:
        ConfigError: If a segment is no whole number of hops.
    """
    chunk = said_segment(file).get("segment")
    if chunk is None:
        return {}
    hop = whole_number(section(file, "audio"), "hop_length", hop_length)
    if hop < 1 or chunk % hop:
        raise ConfigError(
            f"the file asks for segments of {chunk} samples and hops of {hop}; they must divide"
        )
    return {"frames": chunk // hop + 1}
