"""Stems: grouping, and sums that are exact."""

from __future__ import annotations

import pytest
import torch

from signals import antiphase, clipped, noise, silence
from unbraid.engine.finish import (
    distribute_residual,
    group,
    linked_gain,
    round_together,
    stem_groups,
)
from unbraid.errors import UsageError

SOURCES = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize("stems", [1, 2, 4, 6])
@pytest.mark.parametrize("mixture", [noise(5000), clipped(5000), antiphase(5000), silence(5000), noise(0)])
def test_distributed_stems_add_up_in_float64(stems, mixture):
    estimates = torch.stack([noise(mixture.shape[-1], seed=seed) for seed in range(stems)])
    exact = distribute_residual(estimates, mixture)
    assert exact.dtype == torch.float32
    assert ((exact.double().sum(0) - mixture.double()).abs() <= 1e-7).all()


def test_distribution_changes_every_stem_by_the_same_share():
    estimates = torch.stack([noise(100, seed=seed) for seed in range(4)])
    mixture = noise(100, seed=9)
    change = distribute_residual(estimates, mixture) - estimates
    share = (mixture - estimates.sum(0)) / 4
    torch.testing.assert_close(change, share.expand(4, -1, -1), rtol=0, atol=3e-7)


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("stems", [1, 2, 4, 6])
def test_integers_rounded_together_add_up_within_half_a_step(bits, stems):
    values = torch.stack([noise(5000, seed=seed).double() for seed in range(stems)])
    steps = 2.0 ** (bits - 1)
    rounded = round_together(values, bits) * steps
    assert torch.equal(rounded, rounded.round())
    assert (rounded - values * steps).abs().max() <= 1.0
    assert (rounded.sum(0) - (values * steps).sum(0)).abs().max() <= 0.5 + 1e-6


def test_integers_stay_within_full_scale_and_the_next_stem_takes_over_what_was_cut():
    values = torch.tensor([1.0, 0.0]).reshape(2, 1, 1)
    assert (round_together(values, 16) * 32768).flatten().tolist() == [32767.0, 1.0]


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("peak", [0.0, 0.3, 1.0, 1.0001, 3.7])
def test_the_gain_only_ever_lowers_and_never_clips(bits, peak):
    gain = linked_gain(peak, bits)
    assert gain <= 1
    assert gain * peak <= (1 - 2.0 ** (1 - bits)) * (1 + 1e-15)
    assert gain == 1 or peak > 1 - 2.0 ** (1 - bits)


def test_stems_are_named_sources_rests_and_everything_buts():
    assert stem_groups(None, SOURCES) == {source: (source,) for source in SOURCES}
    assert stem_groups(["vocals", "rest"], SOURCES)["rest"] == ("drums", "bass", "other")
    assert stem_groups(["vocals", "no_vocals"], SOURCES)["no_vocals"] == ("drums", "bass", "other")
    assert list(stem_groups(["vocals", "drums"], SOURCES)) == ["vocals", "drums"]


@pytest.mark.parametrize(
    ("stems", "words"),
    [
        (["vocal"], "did you mean vocals"),
        (["no_vocal"], "did you mean no_vocals"),
        (["vocals", "vocals"], "each once"),
        ([], "name some"),
        ([*SOURCES, "rest"], "nothing is left"),
    ],
)
def test_a_stem_that_means_nothing_says_what_would(stems, words):
    with pytest.raises(UsageError, match=words):
        stem_groups(stems, SOURCES)


@pytest.mark.parametrize(
    ("stems", "whole"),
    [
        (None, True),
        (["vocals", "rest"], True),
        (["vocals", "no_vocals"], True),
        (["vocals"], False),
        (["vocals", "no_drums"], False),
    ],
)
def test_only_stems_that_hold_every_source_once_can_add_up(stems, whole):
    if whole:
        assert stem_groups(stems, SOURCES, addable=True) == stem_groups(stems, SOURCES)
    else:
        with pytest.raises(UsageError, match="add 'rest'"):
            stem_groups(stems, SOURCES, addable=True)


def test_groups_are_sums():
    estimates = torch.stack([torch.full((2, 3), float(10**k)) for k in range(4)])
    stems = group(estimates, stem_groups(["vocals", "rest"], SOURCES), SOURCES)
    assert stems[:, 0, 0].tolist() == [1000.0, 111.0]
