"""From many numbers to one, with the honesty that takes: what was left out, how sure it is, what differs.

NaN means that a number does not exist: a source silent in that frame, a track without it. It is left out
everywhere, and counted where a count is returned; it is never taken for 0. Infinities are numbers like any
other: a median bears them, a mean does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from unbraid.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Statistic = Literal["median", "mean"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number over tracks, with the range in which it may well lie for other tracks of the kind.

    Args:
        value: Of the tracks there are.
        low: Lower end; NaN for less than two tracks.
        high: Upper end; NaN for less than two tracks.
        level: How often such ranges hold the truth, from 0 to 1.
        tracks: How many tracks had a number.
    """

    value: float
    low: float
    high: float
    level: float
    tracks: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same tracks.

    Args:
        difference: The second model's score minus the first's.
        p_value: How often chance alone would part them at least so far if neither were better.
        better: Tracks on which the second scores higher.
        worse: Tracks on which the first does.
        equal: Tracks on which both score the same.
    """

    difference: Interval
    p_value: float
    better: int
    worse: int
    equal: int


def median_over_frames(scores: Tensor) -> Tensor:
    """The middle of a track's frames; half of them score higher.

    Args:
        scores: `(..., frames)`.

    Returns:
        `(...)` in float64. Frames that are NaN are left out; a track of nothing else is NaN. Of an even
        number of frames, the mean of the middle two.

    Source:
        Stöter, Liutkus, Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018.

    >>> median_over_frames(torch.tensor([1.0, float("nan"), 9.0, 2.0])).item()
    2.0
    """
    if not scores.shape[-1]:
        return scores.new_full(scores.shape[:-1], torch.nan, dtype=torch.float64)
    ordered = scores.double().sort(-1).values  # NaN comes last
    count = (~ordered.isnan()).sum(-1, keepdim=True)
    below = ordered.gather(-1, (count - 1).clamp_min(0) // 2)
    above = ordered.gather(-1, (count // 2).clamp_max(scores.shape[-1] - 1))
    middle = torch.where(below == above, below, (below + above) / 2)
    return middle.squeeze(-1)


def over_tracks(scores: Tensor, statistic: Statistic = "median") -> Tensor:
    """One number of all tracks.

    Args:
        scores: `(tracks, ...)`.
        statistic: The median, as papers on MUSDB18 do, or the mean, as the MDX challenges do.

    Returns:
        `(...)` in float64. Tracks that are NaN are left out; where all are, NaN.

    Raises:
        UsageError: If the statistic is neither.

    >>> over_tracks(torch.tensor([[1.0, 5.0], [2.0, float("nan")], [6.0, 7.0]]), "mean").tolist()
    [3.0, 6.0]
    """
    return _statistic(scores.double().movedim(0, -1), statistic)


def bootstrap(
    scores: Tensor,
    statistic: Statistic = "median",
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """How far a number over tracks may be trusted, as a bootstrap interval.

    Tracks are drawn anew, with replacement, and the statistic is taken of each draw; the interval is that of
    the draws, corrected for bias and for an error that grows with the value (BCa). It tells of other tracks
    like these, not of other kinds of music.

    Args:
        scores: Of each track, `(tracks,)`; NaN is left out.
        statistic: What is taken over the tracks.
        level: How often such intervals hold the truth.
        resamples: How often tracks are drawn.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        The statistic and its interval.

    Raises:
        ShapeError: If the scores are not `(tracks,)`.
        UsageError: If the statistic is unknown, or the level not between 0 and 1.

    Source:
        Efron, "Better bootstrap confidence intervals", JASA 82(397), 1987.

    >>> interval = bootstrap(torch.tensor([5.0, 6.0, 6.5, 7.0, 8.0]), "mean")
    >>> interval.value, interval.low < 6.5 < interval.high
    (6.5, True)
    """
    if scores.ndim != 1 or not 0 < level < 1 or resamples < 1:
        raise _refusal(scores, level, resamples)
    known = scores[~scores.isnan()].double().cpu()
    count = len(known)
    value = _statistic(known, statistic)
    if count < 2:
        return Interval(value.item(), torch.nan, torch.nan, level, count)
    generator = torch.Generator().manual_seed(seed)
    drawn = known[torch.randint(count, (resamples, count), generator=generator)]
    draws = _statistic(drawn, statistic).sort().values
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    shares = _corrected(tails, draws, value, _left_one_out(known, statistic))
    low, high = draws[(shares * (resamples - 1)).round().long()].tolist()
    return Interval(value.item(), low, high, level, count)


def compare(
    first: Tensor,
    second: Tensor,
    statistic: Statistic = "median",
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Whether a second model is better than a first on the same tracks, or only luckier.

    Differences are taken track by track, so that hard songs are hard for both. The test is Wilcoxon's
    signed-rank test, two-sided. Its distribution is counted exactly for any number of tracks, ties included,
    instead of being approximated (a thousand tracks take some
    seconds); below six tracks p cannot fall below 0.05, whatever the difference.

    Args:
        first: Scores of the first model, `(tracks,)`.
        second: Scores of the second, of the same tracks in the same order.
        statistic: What is taken over the differences.
        level: Of the interval.
        seed: Of the interval's draws.

    Returns:
        The difference with its interval, and the p-value. Tracks on which either is NaN, or both are the
        same infinity, are left out; tracks without a difference do not enter the test. Without any, p is 1.

    Raises:
        ShapeError: If the scores are not two times `(tracks,)`.
        UsageError: If the statistic is unknown, or the level not between 0 and 1.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945.

    >>> first = torch.tensor([5.0, 6.0, 7.0, 4.0, 5.5, 6.5])
    >>> compare(first, first + 0.5).p_value
    0.03125
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ShapeError(
            f"the scores are {tuple(first.shape)} and {tuple(second.shape)}; both must be (tracks,), "
            "of the same tracks in the same order"
        )
    apart = second.double() - first.double()
    apart = apart[~apart.isnan()]
    signs = apart.sign()
    return Comparison(
        bootstrap(apart, statistic, level=level, seed=seed),
        _signed_rank(apart[signs != 0]),
        *(int((signs == sign).sum()) for sign in (1, -1, 0)),
    )


def _signed_rank(apart: Tensor) -> float:
    """Two-sided p-value of differences that are not zero.

    Without a real difference every sign is a coin. Each rank, doubled so that tied ranks are whole, then
    shifts half of the sum's distribution up by itself.
    """
    size = apart.abs()
    doubled = (size[:, None] > size).sum(-1) * 2 + (size[:, None] == size).sum(-1) + 1
    chances = torch.zeros(int(doubled.sum()) + 1, dtype=torch.float64)
    chances[0] = 1.0
    for rank in doubled.tolist():
        moved = chances.roll(rank)  # what leaves at the end is still zero
        chances = (chances + moved) / 2
    positive = int(doubled[apart > 0].sum())
    tail = min(chances[: positive + 1].sum().item(), chances[positive:].sum().item())
    return min(1.0, 2 * tail)


def _corrected(tails: Tensor, draws: Tensor, value: Tensor, left_out: Tensor) -> Tensor:
    """Which shares of the draws stand for the tails (BCa)."""
    below = ((draws < value).double().mean() + (draws <= value).double().mean()) / 2
    bias = torch.special.ndtri(below)
    apart = left_out.mean() - left_out
    acceleration = (apart**3).sum() / (6 * apart.square().sum() ** 1.5)
    acceleration = acceleration.nan_to_num()  # all tracks alike, or an infinite score
    moved = bias + torch.special.ndtri(tails)
    shares: Tensor = torch.special.ndtr(bias + moved / (1 - acceleration * moved))
    return shares.nan_to_num()


def _left_one_out(known: Tensor, statistic: Statistic) -> Tensor:
    """The statistic without each track in turn."""
    count = len(known)
    others = ~torch.eye(count, dtype=torch.bool)
    return _statistic(known.expand(count, count)[others].view(count, count - 1), statistic)


def _statistic(values: Tensor, statistic: Statistic) -> Tensor:
    """Over the last axis, without NaN."""
    if statistic == "median":
        return median_over_frames(values)
    if statistic == "mean":
        return values.nanmean(-1)
    raise UsageError(f"the statistic {statistic!r} was asked for; there are median and mean")


def _refusal(scores: Tensor, level: float, resamples: int) -> UsageError:
    if scores.ndim != 1:
        return ShapeError(f"the scores are {tuple(scores.shape)}; they must be (tracks,), one for each")
    return UsageError(
        f"a level of {level} with {resamples} draws was asked for; the level must lie between 0 and 1, and "
        "there must be a draw"
    )
