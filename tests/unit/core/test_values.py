"""Audio, Estimates, ModelSpec: the values that everything hands on."""

from __future__ import annotations

import pytest
import torch

from fakes import spec_of
from signals import noise
from unbraid.audio import Audio
from unbraid.errors import ConfigError, ShapeError, UsageError
from unbraid.estimates import Estimates
from unbraid.spec import Ladder


@pytest.mark.parametrize(
    "samples", [torch.zeros(5), torch.zeros(1, 2, 3), torch.zeros(2, 5, dtype=torch.int16)]
)
def test_audio_is_channels_by_time_in_floating_point(samples):
    with pytest.raises(ShapeError, match="floating point"):
        Audio(samples, 44100)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_is_positive(rate):
    with pytest.raises(ShapeError, match="must be positive"):
        Audio(noise(5), rate)


def test_audio_says_its_size():
    audio = Audio(noise(100, channels=6), 50)
    assert (audio.channels, audio.length, audio.duration) == (6, 100, 2.0)


def test_audio_is_frozen():
    with pytest.raises(AttributeError):
        Audio(noise(5), 8000).sample_rate = 1


def four():
    return Estimates(torch.stack([noise(50, seed=k) for k in range(4)]), tuple("abcd"), 8000)


def test_estimates_are_a_mapping_in_order():
    estimates = four()
    assert list(estimates) == ["a", "b", "c", "d"]
    assert len(estimates) == 4
    assert torch.equal(estimates["c"].samples, estimates.samples[2])
    assert "e" not in estimates


def test_an_unknown_source_is_a_key_error_that_names_what_there_is():
    estimates = Estimates(torch.zeros(2, 1, 1), ("vocals", "drums"), 8000)
    with pytest.raises(KeyError, match="did you mean vocals"):
        estimates["vocal"]


@pytest.mark.parametrize(
    ("shape", "sources"), [((2, 1, 5), ("a",)), ((2, 5), ("a", "b")), ((2, 1, 5), ("a", "a"))]
)
def test_names_and_samples_must_match(shape, sources):
    with pytest.raises(ShapeError):
        Estimates(torch.zeros(shape), sources, 8000)


def test_the_residual_is_what_the_estimates_leave():
    estimates = four()
    mixture = Audio(estimates.samples.sum(0) + 0.25, 8000)
    torch.testing.assert_close(
        estimates.residual(mixture).samples, torch.full((2, 50), 0.25, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("mixture", [Audio(noise(49), 8000), Audio(noise(50), 44100)])
def test_the_residual_of_another_recording_is_refused(mixture):
    with pytest.raises(ShapeError, match="both must agree"):
        four().residual(mixture)


def test_regrouping_adds_up_and_keeps_the_originals():
    estimates = four()
    kept = estimates.samples.clone()
    groups = estimates.regroup({"x": ["a", "c"], "y": ["b"]})
    torch.testing.assert_close(groups["x"].samples, kept[0] + kept[2])
    assert torch.equal(groups["y"].samples, kept[1])
    assert torch.equal(estimates.samples, kept)


@pytest.mark.parametrize("groups", [{"x": ["a", "z"]}, {"x": []}])
def test_a_group_of_what_is_not_there_is_refused(groups):
    with pytest.raises(UsageError, match="there are a, b, c, d"):
        four().regroup(groups)


@pytest.mark.parametrize(
    "facts",
    [
        {"sample_rate": 0},
        {"channels": 0},
        {"multiple": 0},
        {"context": 50},
        {"context": -1},
        {"longest": 99},
        {"longest": 101, "fixed": True},
    ],
)
def test_a_spec_that_cannot_be_is_refused(facts):
    with pytest.raises(ConfigError):
        spec_of(100, **facts)


@pytest.mark.parametrize(
    ("facts", "limit"), [({}, 100), ({"longest": 100}, 100), ({"longest": 900}, 900), ({"fixed": True}, 100)]
)
def test_a_spec_says_how_much_it_may_be_given(facts, limit):
    assert spec_of(100, **facts).limit == limit


@pytest.mark.parametrize(
    ("facts", "length", "accepted"),
    [
        ({}, 7, 7),
        ({"multiple": 16}, 17, 32),
        ({"multiple": 16}, 32, 32),
        ({"fixed": True}, 7, 100),
        ({"ladder": Ladder(4, 2, 2)}, 7, 10),
        ({"ladder": Ladder(4, 2, 2)}, 11, 14),
        ({"ladder": Ladder(4, 2, 2, oversampling=2)}, 6, 7),
        ({"ladder": Ladder(4, 2, 2, least=3)}, 1, 18),
    ],
)
def test_a_spec_says_which_lengths_it_takes(facts, length, accepted):
    spec = spec_of(100, **facts)
    assert spec.accepted_length(length) == accepted
    assert spec.accepted_length(accepted) == accepted


def test_a_ladder_goes_down_and_up_without_remainder():
    ladder = Ladder(kernel=8, stride=4, depth=3)
    accepted = {ladder.accepted_length(length) for length in range(1, 2000)}
    for length in accepted:
        steps = length
        for _ in range(3):
            assert (steps - 8) % 4 == 0
            steps = (steps - 8) // 4 + 1
        assert steps >= 1


def test_a_ladder_with_context_agrees_with_the_published_count():
    """Demucs v2 for 10 s of audio: two samples are lost at each level of the way up."""
    ladder = Ladder(kernel=8, stride=4, depth=6, oversampling=2, least=3)
    assert ladder.accepted_length(441_000 + 2 * 2730) == 447_146


@pytest.mark.parametrize("numbers", [(0, 1, 1), (4, 5, 1), (4, 2, 0)])
def test_a_ladder_that_cannot_be_is_refused(numbers):
    with pytest.raises(ConfigError):
        Ladder(*numbers)
