"""Reading a YAML file of Music-Source-Separation-Training: strictly, section by section.

What is given here has been parsed: mappings, lists and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unbraid.errors import ConfigError, did_you_mean

RATE = 44100  # Hz, where a file does not say


def section(yaml: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section by name; empty if the file has none.

    Raises:
        ConfigError: If it is there and holds no keys.
    """
    found = yaml.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"the section {name} must hold keys with values, not {found!r:.60}")
    return found


def renamed(
    found: Mapping[str, Any], fields: Mapping[str, str], ignored: frozenset[str], where: str
) -> dict[str, Any]:
    """The values of a section under our fields' names.

    Args:
        found: The section.
        fields: From a key to our field.
        ignored: Keys that say nothing of what the network computes.
        where: What the section is of, for the error's sentence.

    Raises:
        ConfigError: If a key is neither.

    >>> renamed({"dim": 4, "flash_attn": True}, {"dim": "channels"}, frozenset({"flash_attn"}), "model")
    {'channels': 4}
    """
    known = [*fields, *ignored]
    unknown = [str(key) for key in found if key not in known]
    if unknown:
        faults = (f"unknown key {key!r}{did_you_mean(key, known)}" for key in sorted(unknown))
        raise ConfigError(f"{where}: {', '.join(faults)}")
    return {fields[key]: value for key, value in found.items() if key in fields}


def whole_number(found: Mapping[str, Any], key: str, default: int) -> int:
    """A value that must be a whole number.

    Raises:
        ConfigError: If it is none.
    """
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{key} must be a whole number, not {value!r:.60}")
    return value


def sources_of(yaml: Mapping[str, Any], stems: int) -> list[str]:
    """Names of what a network estimates, in our spelling: its target, or else all instruments.

    Args:
        yaml: The file.
        stems: How many the network estimates.

    Raises:
        ConfigError: If the file names another number of them.

    >>> sources_of({"training": {"instruments": ["Vocals", "lead-guitar"], "target_instrument": None}}, 2)
    ['vocals', 'lead_guitar']
    """
    training = section(yaml, "training")
    target, instruments = training.get("target_instrument"), training.get("instruments") or []
    named = [target] if target else instruments
    if not isinstance(named, (list, tuple)) or len(named) != stems:
        raise ConfigError(
            f"the network estimates {stems} sources, but the section training names {named!r:.200}; "
            "target_instrument names the only one, or instruments as many as there are"
        )
    return [re.sub(r"[\s\-]+", "_", str(name).strip().lower()) for name in named]


def segment_of(yaml: Mapping[str, Any], default: int) -> int:
    """Samples that the network is given at once: what the file says for inference, or for training."""
    trained = whole_number(section(yaml, "audio"), "chunk_size", default)
    return whole_number(section(yaml, "inference"), "chunk_size", trained)
