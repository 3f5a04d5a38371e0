"""Reads a configuration file, YAML or JSON, as plain values; what else it asks for is refused.

Of YAML's tags, those for plain values are known, and the tuples that Music-Source-Separation-Training writes.
Keys that stand twice, and aliases, by which a small file can mean a huge one, are errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from unbraid.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 2**20  # bytes; UVR's table of all its models takes 20 KiB
_TUPLE = "tag:yaml.org,2002:python/tuple"
_MERGE = "tag:yaml.org,2002:merge"
_FLOAT = "tag:yaml.org,2002:float"
# What YAML 1.1 takes for a text: 1e-5, which lacks a dot or the exponent's sign.
_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


def read_config(path: Path) -> dict[str, Any]:
    """What a file says: keys with values, nested.

    Args:
        path: A `.yaml` or `.yml` file, or a `.json` file.

    Raises:
        ConfigError: If it is damaged, too large, holds no keys, or asks for more than plain values.
        UsageError: If it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            content = handle.read(_MOST + 1)
    except OSError as error:
        raise UsageError(f"the configuration {path} cannot be read: {error.strerror or error}") from error
    if len(content) > _MOST:
        raise ConfigError(f"{path.name} has more than {_MOST:,} bytes; no configuration is that long")
    try:
        text = content.decode("utf-8-sig")
        found = _json(text) if path.suffix.lower() == ".json" else yaml.load(text, _Loader)  # noqa: S506 - safe
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name} cannot be read as YAML: {_in_words(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} is no configuration file: {str(error)[:120]}") from error
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise ConfigError(f"{path.name} holds {found!r:.60}; a configuration has keys with values")
    return dict(found)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML comes without types
    """PyYAML's safe loader, stricter: no aliases, no key twice; and with tuples."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, f"{event.anchor!r} is an alias; write its value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[object] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, "'<<' merges keys; write them out", key.start_mark
                )
            name = self.construct_object(key, deep=True)
            if not isinstance(name, (str, int, float)):
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r:.40} is no key; one is a word or a number", key.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_tuple(self, node: Any) -> tuple[Any, ...]:
        """A list, said to be a tuple."""
        return tuple(self.construct_sequence(node, deep=True))


_Loader.add_constructor(_TUPLE, _Loader.construct_tuple)
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def _in_words(error: yaml.YAMLError) -> str:
    """What is wrong, and in which line."""
    what, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if "could not determine a constructor for the tag" in str(what):
        tag = re.search(r"'(.*)'", str(what))
        what = (
            f"it asks for {tag[1] if tag else 'something'}, which is no plain value; nothing a file names "
            "is made or run"
        )
    place = f" (line {mark.line + 1})" if mark is not None else ""
    return f"{what or str(error).splitlines()[0]}{place}"


def _json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping in which no key stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found
