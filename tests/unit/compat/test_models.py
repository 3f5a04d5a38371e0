"""Bags, and the names that demucs has for what a network says of itself."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from signals import noise
from unbraid.compat.demucs.models import BagOfModels, named, segment_of
from unbraid.errors import UsageError
from unbraid.spec import ModelSpec


class Gain(torch.nn.Module):
    """Both sources are the mixture times a factor."""

    def __init__(self, factor=1.0, sources=("drums", "vocals"), **facts):
        super().__init__()
        self.spec = ModelSpec(sources, **{"sample_rate": 1000, "channels": 2, "segment": 500, **facts})
        self.factor = factor

    def forward(self, mixture):
        return self.factor * torch.stack([mixture] * len(self.spec.sources), 1)


def test_a_network_answers_to_the_names_of_demucs():
    network = named(Gain(context=50))
    assert network.sources == ["drums", "vocals"]
    assert (network.samplerate, network.audio_channels, network.segment) == (1000, 2, Fraction(2, 5))
    assert network.state_dict() == {}


def test_naming_twice_keeps_a_segment_that_was_set():
    network = named(Gain())
    network.segment = 0.2
    assert named(network).segment == 0.2


def test_a_bag_averages_source_by_source():
    bag = BagOfModels([Gain(1.0), Gain(4.0)], [[1, 0], [1, 2]])
    drums, vocals = bag(noise(10)[None])[0]
    assert torch.allclose(drums, 2.5 * noise(10))
    assert torch.equal(vocals, 4 * noise(10))


def test_a_bag_of_one_is_its_model_exactly():
    bag = BagOfModels([Gain(0.3)], [[7, 0.1]])
    assert torch.equal(bag(noise(10)[None]), Gain(0.3)(noise(10)[None]))


def test_a_bag_says_what_its_models_say():
    bag = BagOfModels([named(Gain(segment=300, fixed=True)), Gain(segment=400)])
    assert bag.sources == ["drums", "vocals"]
    assert bag.weights == [[1.0, 1.0]] * 2
    assert (bag.samplerate, bag.audio_channels, bag.segment) == (1000, 2, Fraction(3, 10))
    assert bag.max_allowed_segment == 0.3
    assert BagOfModels([Gain()]).max_allowed_segment == float("inf")


@pytest.mark.parametrize(("segment", "found"), [(0.2, [0.2, 0.2]), (0.7, [0.5, 0.7])])
def test_a_bags_segment_is_each_models_unless_it_takes_no_more(segment, found):
    bag = BagOfModels([Gain(fixed=True), Gain()], segment=segment)
    assert [segment_of(model) for model in bag.models] == found


@pytest.mark.parametrize("other", [{"sources": ("bass",)}, {"sample_rate": 2000}, {"channels": 1}])
def test_models_that_do_not_go_together_make_no_bag(other):
    with pytest.raises(UsageError, match="the same sources, rate and channels"):
        BagOfModels([Gain(), Gain(**other)])


def test_no_models_make_no_bag():
    with pytest.raises(UsageError, match="at least one"):
        BagOfModels([])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([[1, 1]], "2 models"),
        ([[1, 1], [1]], r"\[2, 1\]"),
        ([[1, 0], [1, 0]], "for vocals"),
        ([[2, -1], [1, 3]], "for vocals"),
        ([[1, float("nan")], [1, 1]], "for vocals"),
    ],
)
def test_weights_must_be_some_for_each_source_and_none_below_zero(weights, words):
    with pytest.raises(UsageError, match=words):
        BagOfModels([Gain(), Gain()], weights)
