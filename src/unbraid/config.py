"""The one converter from a mapping (TOML, JSON, metadata) to a frozen dataclass: strict, with suggestions."""

from __future__ import annotations

import dataclasses
import re
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import cattrs
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from unbraid.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def _fraction(value: object, _: type) -> Fraction:
    """A fraction from "39/5", a number, or itself; TOML and JSON have no fractions of their own."""
    # Not every text that Fraction takes: "1e999999999" in a foreign file's header would fill the memory.
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,12}([./]\d{1,12})?", value):
        raise TypeError(f"{value[:40]!r} is no fraction such as '39/5' or '7.8'")
    if isinstance(value, (str, int, float, Fraction)) and not isinstance(value, bool):
        return Fraction(value).limit_denominator(1_000_000)
    raise TypeError(f"{value!r} is no fraction")


def _exact(value: object, kind: type) -> Any:
    """A scalar of exactly this kind: "7" is no int, 1 is no bool, but 1 is a float."""
    if issubclass(kind, Enum):  # a string enum is a str, too
        return kind(value)
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"{value!r} is no {kind.__name__}")


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuples(kind: Any) -> Callable[[object, Any], Any]:
    """From a list or a tuple only: a text would become a tuple of its letters."""
    item = get_args(kind)[0]

    def convert(value: object, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{value!r} is no list")
        return tuple(_converter.structure(entry, item) for entry in value)

    return convert


def _key(field: dataclasses.Field[Any]) -> str:
    """A field's key: its name, less the underscore behind what would be a word of Python's, as `from_`."""
    return field.name.rstrip("_")


def _spelt(cls: Any) -> dict[str, Any]:
    """For cattrs, the keys of fields that are not their names."""
    fields = dataclasses.fields(cls)
    return {field.name: override(rename=_key(field)) for field in fields if field.name != _key(field)}


_converter = cattrs.Converter(forbid_extra_keys=True)
_converter.register_structure_hook_factory(_is_tuple, _tuples)
for _kind in (int, float, bool, str):
    _converter.register_structure_hook(_kind, _exact)
_converter.register_structure_hook(Fraction, _fraction)
_converter.register_unstructure_hook(Fraction, str)
_converter.register_structure_hook_factory(
    dataclasses.is_dataclass,
    lambda cls: make_dict_structure_fn(cls, _converter, _cattrs_forbid_extra_keys=True, **_spelt(cls)),
)
_converter.register_unstructure_hook_factory(
    dataclasses.is_dataclass, lambda cls: make_dict_unstructure_fn(cls, _converter, **_spelt(cls))
)


def structure(mapping: Mapping[str, object], cls: type[T], where: str = "configuration") -> T:
    """A frozen dataclass from a mapping; every fault is reported at once, with its place.

    Args:
        mapping: Keys and plain values, nested as the dataclass is.
        cls: The dataclass to make.
        where: What the mapping is, for the error's sentence.

    Returns:
        An instance of `cls`.

    Raises:
        ConfigError: If a key is unknown or missing, or a value is of another kind than its field.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     channels: int = 48
    >>> structure({"channels": 64}, Config)
    Config(channels=64)
    """
    try:
        return _converter.structure(mapping, cls)
    except cattrs.BaseValidationError as error:
        raise ConfigError(f"{where}: {'; '.join(_faults(error))}") from error


def unstructure(value: object) -> dict[str, Any]:
    """Plain values of a dataclass, as JSON and TOML can hold them; `structure` is its inverse."""
    plain = _converter.unstructure(value)
    return {key: item.value if isinstance(item, Enum) else item for key, item in plain.items()}


def _faults(error: BaseException) -> list[str]:
    """Each leaf of cattrs' tree of errors as a clause of our sentence."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [_key(field) for field in dataclasses.fields(error.cl)]
        return [
            f"unknown key {key!r}{did_you_mean(key, known) or '; known are ' + ', '.join(known)}"
            for key in sorted(error.extra_fields)
        ]
    children = getattr(error, "exceptions", None)
    if children:
        return [fault for child in children for fault in _faults(child)]
    notes = getattr(error, "__notes__", [])
    place = next((note.split("attribute ")[-1] for note in notes if "attribute " in str(note)), "")
    if isinstance(error, KeyError):
        return [f"missing key {error.args[0]!r}"]
    return [f"{error}{f' (at {place})' if place else ''}"]
