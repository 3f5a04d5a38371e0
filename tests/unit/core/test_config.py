"""Mappings into frozen dataclasses, strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError


class Colour(str, Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    depth: int = 4


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 1.0
    exact: bool = False
    segment: Fraction = Fraction(39, 5)
    sources: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    colour: Colour = Colour.RED


def test_nested_values_and_defaults():
    made = structure({"name": "a", "sources": ["x", "y"], "inner": {"depth": 2}, "rate": 3}, Outer)
    assert made == Outer("a", 3.0, sources=("x", "y"), inner=Inner(2))


@pytest.mark.parametrize("value", ["39/5", 7.8, Fraction(39, 5)])
def test_a_fraction_is_exact_however_it_is_written(value):
    assert structure({"name": "a", "segment": value}, Outer).segment == Fraction(39, 5)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"name": "a", "rat": 2.0}, "unknown key 'rat'; did you mean rate"),
        ({"name": "a", "zzzz": 2.0}, "unknown key 'zzzz'; known are name, rate"),
        ({}, "missing key 'name'"),
        ({"name": 5}, "5 is no str"),
        ({"name": "a", "inner": {"depth": "4"}}, "'4' is no int"),
        ({"name": "a", "inner": {"depth": True}}, "True is no int"),
        ({"name": "a", "exact": 1}, "1 is no bool"),
        ({"name": "a", "inner": {"dept": 4}}, "did you mean depth"),
        ({"name": "a", "segment": "1e999999999"}, "'1e999999999' is no fraction"),
        ({"name": "a", "segment": "1/0"}, "Fraction"),
        ({"name": "a", "segment": True}, "True is no fraction"),
        ({"name": "a", "sources": "abcd"}, "'abcd' is no list"),
        ({"name": "a", "sources": ["x", 5]}, "5 is no str"),
    ],
)
def test_a_fault_is_named_with_a_suggestion(mapping, words):
    with pytest.raises(ConfigError, match=words):
        structure(mapping, Outer, where="the card")


def test_every_fault_is_reported_at_once():
    with pytest.raises(ConfigError, match=r"the card: .*unknown key 'x'.*") as caught:
        structure({"rate": "fast", "x": 1}, Outer, where="the card")
    assert "missing key 'name'" in str(caught.value)
    assert "'fast' is no float" in str(caught.value)


@given(st.builds(Outer, name=st.text(), rate=st.floats(allow_nan=False), segment=st.just(Fraction(7, 3))))
def test_structuring_undoes_unstructuring(value):
    assert structure(unstructure(value), Outer) == value


@dataclass(frozen=True)
class Way:
    from_: str
    to: str = ""


def test_a_key_may_be_a_word_of_pythons():
    way = structure({"from": "a"}, Way)
    assert way == Way("a")
    assert unstructure(way) == {"from": "a", "to": ""}
    with pytest.raises(ConfigError, match="unknown key 'form'; did you mean from"):
        structure({"form": "a"}, Way)
