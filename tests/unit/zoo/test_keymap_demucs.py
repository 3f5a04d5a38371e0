"""Packages of Demucs, first to third generation: what their arguments and names become."""

from __future__ import annotations

import inspect
from fractions import Fraction

import pytest
import torch

from networks.tiny import DEMUCS_V1, DEMUCS_V3, lively
from unbraid.config import structure
from unbraid.errors import WeightsError
from unbraid.networks.demucs import Config, Demucs
from unbraid.zoo.keymaps.demucs_package import TUPLE_CLASSES, arguments_of
from unbraid.zoo.keymaps.renames import RENAMES

FOUR = ["drums", "bass", "other", "vocals"]
OLD, NEW = "demucs.model.Demucs", "demucs.demucs.Demucs"


def config_of(klass, args=(), *, in_tuple=False, **kwargs):
    """The configuration of a call of the class."""
    return structure(arguments_of(klass, in_tuple=in_tuple).configuration(args, kwargs), Config)


def test_a_class_in_a_tuple_is_the_first_generation():
    assert config_of(OLD, in_tuple=True) == Config(**DEMUCS_V1)
    assert config_of(OLD, in_tuple=True, sources=4, channels=100) == Config(**DEMUCS_V1, channels=100)
    assert config_of(OLD, (4,), in_tuple=True).sources == tuple(FOUR)


def test_the_same_class_in_a_dictionary_is_the_second():
    assert config_of(OLD, (FOUR,)) == Config()
    given = {
        "sources": ["a", "b"],
        "channels": 48,
        "growth": 2.0,
        "resample": False,
        "segment_length": 441_000,
    }
    assert config_of(OLD, **given) == Config(sources=("a", "b"), channels=48, oversampled=False)


def test_the_later_class_is_the_third():
    assert config_of(NEW, (FOUR,)) == Config(**DEMUCS_V3, divisor=1.0)
    assert config_of(NEW, (FOUR,), segment=44, rewrite=False).segment == Fraction(44)


def test_the_defaults_of_the_published_constructor_hold_where_a_package_says_nothing():
    from demucs.demucs import Demucs as Published

    parameters = inspect.signature(Published.__init__).parameters
    given = {name: p.default for name, p in parameters.items() if name not in {"self", "sources"}}
    assert config_of(NEW, (FOUR,)) == config_of(NEW, sources=FOUR, **given)


@pytest.mark.parametrize(
    ("klass", "in_tuple", "kwargs", "words"),
    [
        (OLD, True, {"upsample": True}, r"upsample = True \(we have False\)"),
        (OLD, True, {"resample": True}, "resample"),
        (OLD, True, {"sources": 3}, "3 sources without names; the published ones have 4: drums, bass"),
        (OLD, False, {"context": 5}, r"context = 5 \(we have 3\)"),
        (OLD, False, {"glu": False}, "glu = False"),
        (NEW, False, {"dconv_mode": 3}, r"dconv_mode = 3 \(we have 1\)"),
        (NEW, False, {"kazoo": 1}, "kazoo"),
    ],
)
def test_an_argument_that_our_network_does_not_have_is_refused(klass, in_tuple, kwargs, words):
    with pytest.raises(WeightsError, match=words):
        arguments_of(klass, in_tuple=in_tuple).configuration((), kwargs)


def test_a_class_that_no_tuple_ever_held_is_refused_with_those_that_are_known():
    with pytest.raises(WeightsError, match=f"is a {NEW}; known are {', '.join(TUPLE_CLASSES)}"):
        arguments_of(NEW, in_tuple=True)


def published(klass):
    """A small network of another's making, and our configuration of it."""
    from demucs.demucs import Demucs as Third
    from pymss_core.modules.legacy_demucs import LegacyDemucs

    kwargs = {"channels": 4, "depth": 3}
    theirs = {OLD: LegacyDemucs, NEW: Third}[klass](FOUR, **kwargs)
    return theirs, config_of(klass, (FOUR,), **kwargs)


@pytest.mark.reference
@pytest.mark.parametrize("klass", [OLD, NEW])
def test_renamed_weights_are_those_of_our_network_and_renaming_twice_changes_nothing(klass):
    theirs, config = published(klass)
    state = lively(theirs.state_dict())
    renamed = arguments_of(klass).rename(state)
    Demucs(config).load_state_dict(renamed)
    assert set(map(id, renamed.values())) == set(map(id, state.values()))
    again = RENAMES["demucs"](renamed)
    assert again.keys() == renamed.keys()
    assert all(again[name] is value for name, value in renamed.items())


@pytest.mark.parametrize("options", [{}, {"rewrite": False}, DEMUCS_V1, DEMUCS_V3])
def test_our_own_names_stay_as_they_are(options):
    with torch.device("meta"):
        state = Demucs(Config(**options)).state_dict()
    assert list(RENAMES["demucs"](state)) == list(state)
