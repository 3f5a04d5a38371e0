"""The numbers of a report: scores where there are true stems, and what is seen without them in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.audio import Audio
from unbraid.data.stems import left_out
from unbraid.errors import UsageError
from unbraid.estimates import Estimates
from unbraid.metrics.aggregate import median_over_frames
from unbraid.metrics.bsseval import bsseval
from unbraid.metrics.reference_free import Examination, examine
from unbraid.plot.scores import Course, course
from unbraid.plot.sound import length_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.comparison.columns import Comparison
    from unbraid.io.source import Source


def courses(comparison: Comparison) -> dict[str, dict[str, Course]]:
    """The SDR of each stem that has a true one, by the stem's name, then by the column's.

    Args:
        comparison: What is compared.

    Returns:
        SDR over time and over the whole; see `plot.scores.course`. Stems that no column has are left out.

    Raises:
        AudioError: If a file cannot be read.
    """
    found = {
        stem: {
            name: course(reference, column[stem])
            for name, column in comparison.columns.items()
            if stem in column
        }
        for stem, reference in comparison.references.items()
    }
    return {stem: by_name for stem, by_name in found.items() if by_name}


def parts(column: Mapping[str, Source]) -> dict[str, Source]:
    """Those of a column's stems that hold each sound once.

    Where one is everything but another, as the accompaniment is everything but the vocals, it is those two:
    all others are in them.

    Args:
        column: Stems by name.
    """
    pairs = [(without, stem) for stem in column if (without := left_out(stem)) in column and without]
    return {stem: column[stem] for stem in (pairs[0] if pairs else column)}


def bsseval_medians(
    references: Mapping[str, Source], column: Mapping[str, Source]
) -> dict[str, tuple[float, float, float, float]]:
    """SDR, ISR, SIR and SAR of BSSEval v4 in dB: medians over frames of a second, by the stem's name.

    Args:
        references: True stems.
        column: Estimates. They are held in memory whole, as are the references.

    Returns:
        Four numbers for each of the column's `parts`; nothing where one of them has no true stem, where there
        is only one, or where one is silent from end to end: then the four are not defined.

    Raises:
        AudioError: If a file cannot be read.
    """
    stems = list(parts(column))
    if len(stems) < 2 or not set(stems) <= set(references):
        return {}
    rate = column[stems[0]].sample_rate
    true, found = (torch.stack([_whole(held[stem]) for stem in stems]) for held in (references, column))
    try:
        scores = bsseval(true, found, rate)
    except UsageError:  # the metric's own refusal of a silent source
        return {}
    four = [median_over_frames(ratio) for ratio in (scores.sdr, scores.isr, scores.sir, scores.sar)]
    return {stem: tuple(medians) for stem, medians in zip(stems, torch.stack(four, 1).tolist(), strict=True)}


def examination(mixture: Source, column: Mapping[str, Source]) -> Examination:
    """What a column shows without true stems: what is left over, what leaks, where bands end.

    Args:
        mixture: The recording that was separated.
        column: Its stems, of which the `parts` are looked at, in memory.

    Returns:
        As `metrics.reference_free.examine` gives it.

    Raises:
        AudioError: If a file cannot be read.
    """
    stems = parts(column)
    samples = torch.stack([_whole(source) for source in stems.values()])
    whole = Audio(_whole(mixture), mixture.sample_rate)
    return examine(whole, Estimates(samples, tuple(stems), mixture.sample_rate))


def _whole(source: Source) -> Tensor:
    samples = torch.empty(len(source.layout), length_of(source))
    start = 0
    for block in source.read():
        samples[:, start : start + block.shape[-1]] = block
        start += block.shape[-1]
    return samples
