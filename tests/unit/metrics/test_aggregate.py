"""From many numbers to one: medians, intervals that hold the truth, and tests that don't cry wolf."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.errors import ShapeError, UsageError
from unbraid.metrics.aggregate import bootstrap, compare, median_over_frames, over_tracks

GOLDEN = Path(__file__).parents[2] / "golden/metrics.npz"
NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return {name: torch.from_numpy(stored[name]) for name in ("scores", "others", "tied")} | {
            name: stored[name].tolist() for name in ("mean_interval", "median_interval", "p", "p_tied")
        }


@pytest.mark.parametrize(
    ("frames", "middle"),
    [
        ([3.0], 3.0),
        ([4.0, 1.0], 2.5),
        ([5.0, 1.0, 2.0], 2.0),
        ([NAN, 1.0, NAN, 2.0, 9.0], 2.0),
        ([-INF, 1.0, INF], 1.0),
        ([INF, INF, NAN], INF),
        ([-INF, INF], NAN),
        ([NAN, NAN], NAN),
        ([], NAN),
    ],
)
def test_medians_leave_nan_out_and_bear_infinities(frames, middle):
    found = median_over_frames(torch.tensor(frames, dtype=torch.float64)).item()
    assert found == pytest.approx(middle, nan_ok=True)


@pytest.mark.parametrize("shape", [(7,), (4, 10), (2, 3, 11)])
def test_medians_are_those_of_numpy(rng, shape):
    scores = torch.randn(shape, generator=rng, dtype=torch.float64)
    scores[torch.rand(shape, generator=rng) < 0.3] = NAN
    scores[..., 0] = 1.0
    expected = torch.from_numpy(np.asarray(np.nanmedian(scores.numpy(), -1)))
    torch.testing.assert_close(median_over_frames(scores), expected)


@pytest.mark.parametrize(("statistic", "expected"), [("median", [2.0, 5.0, NAN]), ("mean", [4.0, 5.0, NAN])])
def test_tracks_without_a_number_are_left_out(statistic, expected):
    scores = torch.tensor([[1.0, 4.0, NAN], [2.0, NAN, NAN], [9.0, 6.0, NAN]])
    assert over_tracks(scores, statistic).tolist() == pytest.approx(expected, nan_ok=True)


@pytest.mark.reference
@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_are_those_of_scipy(golden, statistic):
    interval = bootstrap(golden["scores"], statistic, level=0.9, resamples=100_000)
    low, high = golden[f"{statistic}_interval"]
    # Two sets of draws never agree exactly; a fiftieth of the width is what a hundred thousand leave.
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=(high - low) / 50)


@pytest.mark.parametrize(("statistic", "spread"), [("mean", 1.0), ("median", 1.2533)])
def test_intervals_hold_the_truth_as_often_as_they_say(rng, statistic, spread):
    trials, tracks = 200, 30
    scores = torch.randn(trials, tracks, generator=rng, dtype=torch.float64)
    found = [
        bootstrap(row, statistic, level=0.8, resamples=500, seed=trial) for trial, row in enumerate(scores)
    ]
    held = sum(interval.low <= 0 <= interval.high for interval in found)
    assert 0.70 * trials < held < 0.90 * trials
    width = sum(interval.high - interval.low for interval in found) / trials
    assert width == pytest.approx(2 * 1.2816 * spread / tracks**0.5, rel=0.2)


def test_the_same_seed_gives_the_same_interval_and_leaves_torchs_alone(rng):
    scores = torch.randn(20, generator=rng)
    before = torch.random.get_rng_state()
    assert bootstrap(scores, seed=3) == bootstrap(scores, seed=3)
    assert bootstrap(scores, "mean", seed=3) != bootstrap(scores, "mean", seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_an_interval_moves_and_stretches_with_its_scores(rng, statistic):
    scores = torch.randn(25, generator=rng, dtype=torch.float64)
    plain, moved = bootstrap(scores, statistic), bootstrap(4 * scores + 3, statistic)
    for name in ("value", "low", "high"):
        assert getattr(moved, name) == pytest.approx(4 * getattr(plain, name) + 3)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], (NAN, NAN, NAN, 0)),
        ([NAN, 5.0], (5.0, NAN, NAN, 1)),
        ([5.0, 5.0, NAN, 5.0], (5.0, 5.0, 5.0, 3)),
        ([-INF, 2.0, 3.0, 4.0, 5.0], (3.0, -INF, 5.0, 5)),
    ],
)
def test_odd_scores_have_intervals_that_say_so(scores, expected):
    found = bootstrap(torch.tensor(scores), level=0.99)
    assert (found.value, found.low, found.high, found.tracks) == pytest.approx(expected, nan_ok=True)


@pytest.mark.reference
def test_p_values_are_those_of_scipy(golden):
    assert compare(golden["scores"], golden["others"]).p_value == pytest.approx(golden["p"], rel=1e-12)
    tied = golden["tied"]
    assert compare(torch.zeros_like(tied), tied).p_value == pytest.approx(golden["p_tied"], rel=1e-12)


@pytest.mark.parametrize(
    "apart", [[1.0, 2.0, -3.0], [1.0, 1.0, -1.0, 2.0, 2.0], [-5.0], [0.5, -0.5, 4.0, 4.0, 1.0]]
)
def test_the_exact_test_counts_every_pattern_of_signs(apart):
    size = torch.tensor(apart, dtype=torch.float64)
    ranks = torch.tensor(
        [((abs(a) > size.abs()).sum() + (abs(a) >= size.abs()).sum() + 1) / 2 for a in apart]
    )
    middle = ranks.sum() / 2
    reached = (ranks[size > 0].sum() - middle).abs()
    sums = [ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=len(apart))]
    expected = sum((total - middle).abs() >= reached for total in sums) / len(sums)
    assert compare(torch.zeros(len(apart)), size).p_value == pytest.approx(expected.item())


def test_chance_alone_rarely_looks_like_a_difference(rng):
    first, second = torch.randn(2, 500, 12, generator=rng)
    found = [compare(*pair).p_value for pair in zip(first[:100], second[:100], strict=True)]
    assert sum(p < 0.05 for p in found) <= 12
    assert sum(p < 0.5 for p in found) > 30


def test_a_small_but_steady_difference_is_found():
    first = torch.linspace(-5, 12, 20)
    found = compare(first, first + torch.linspace(0.1, 0.3, 20))
    assert found.p_value == pytest.approx(2 / 2**20)
    assert found.difference.low > 0
    assert (found.better, found.worse, found.equal) == (20, 0, 0)


def test_exchanging_two_models_turns_the_sign_alone(rng):
    first, second = torch.randn(2, 15, generator=rng, dtype=torch.float64)
    there, back = compare(first, second), compare(second, first)
    assert there.p_value == back.p_value
    assert there.difference.value == -back.difference.value
    assert (there.better, there.worse) == (back.worse, back.better)


def test_tracks_without_two_numbers_are_left_out():
    first = torch.tensor([1.0, 2.0, NAN, 4.0, INF, 5.0])
    second = torch.tensor([2.0, 2.0, 3.0, NAN, INF, 4.0])
    found = compare(first, second, "mean")
    assert (found.difference.value, found.difference.tracks) == (0.0, 3)
    assert (found.better, found.worse, found.equal) == (1, 1, 1)
    assert compare(first[1:2], second[1:2]).p_value == 1.0


def test_many_tracks_are_compared_exactly(rng):
    scores, drift = torch.randn(2, 300, generator=rng, dtype=torch.float64)
    drift += 0.1
    size = drift.abs().argsort().argsort().double() + 1
    total, mean = size[drift > 0].sum(), size.sum() / 2
    normal = math.erfc(((total - mean).abs() / (size.square().sum() / 4).sqrt() / 2**0.5).item())
    assert compare(scores, scores + drift).p_value == pytest.approx(normal, rel=0.05)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\).*one for each"):
        bootstrap(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"\(3,\) and \(4,\)"):
        compare(torch.zeros(3), torch.zeros(4))
    with pytest.raises(UsageError, match="between 0 and 1"):
        bootstrap(torch.zeros(3), level=95)
    with pytest.raises(UsageError, match="there are median and mean"):
        over_tracks(torch.zeros(3), "mode")
