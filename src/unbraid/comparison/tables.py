"""The tables of the report: scores where there are true stems, and what is seen without them."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from unbraid.comparison.markup import NOTHING, decibels, head, row, section, stem_head, table, with_note
from unbraid.comparison.numbers import bsseval_medians, examination
from unbraid.plot.scores import SILENCE_DB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbraid.comparison.columns import Comparison
    from unbraid.io.source import Source
    from unbraid.metrics.reference_free import Examination
    from unbraid.plot.scores import Course

_SDR = (
    "SDR in dB over everything that was compared, as the Music Demixing Challenges count it: the energy of "
    "the true stem by that of the error; higher is better. Below it the median over the seconds in which the "
    f"true stem sounds (above −{-SILENCE_DB:g} dB of full scale). BSSEval's SDR is another number."
)
_BSSEVAL = (
    "Medians over seconds in dB, higher is better. SDR: distortion of any kind. ISR: wrong tone or place. "
    "SIR: other stems that bleed in. SAR: artefacts. Each model is scored on its own set of stems: only rows "
    "of equal sets can be compared. Seconds in which any stem is silent are left out; those in which "
    "one is all but silent count, and can be far below 0."
)
_SIGNS = (
    "Residual: the recording minus all stems, in dB below the recording; what is in no stem, or in two. "
    "Most alike: the two stems whose loudness moves together most, from −1 to 1; high where one bleeds "
    "into the other, and also where instruments play together. First to end: the stem whose band reaches "
    "least high."
)


def scores(names: Sequence[str], found: Mapping[str, Mapping[str, Course]]) -> str:
    """SDR by stem and model, the best of each row marked.

    Args:
        names: Of the models, in order.
        found: As from `numbers.courses`.
    """
    rows = []
    for stem, by_name in found.items():
        best = max(course.whole_db for course in by_name.values())
        rows.append(row(stem_head(stem), (_score(by_name, name, best) for name in names)))
    return section("Scores", _SDR, table(["stem", *names], rows))


def _score(by_name: Mapping[str, Course], name: str, best: float) -> str:
    if name not in by_name:
        return NOTHING
    course = by_name[name]
    number = decibels(course.whole_db)
    if course.whole_db == best and len(by_name) > 1:
        number = f'<span class="best">{number} <abbr title="best of the row">★</abbr></span>'
    return with_note(number, f"median {decibels(course.median_db)}")


def bsseval(comparison: Comparison, references: Mapping[str, Source]) -> str:
    """BSSEval's medians, a row for each stem and model; nothing where none of them has all it takes.

    Args:
        comparison: What is compared, without stems that were added up.
        references: True stems, with those that were added up.
    """
    rows = [
        row(stem_head(stem), (escape(name), *map(decibels, medians)))
        for name, column in comparison.columns.items()
        for stem, medians in bsseval_medians(references, column).items()
    ]
    headings = ["stem", "model", "SDR", "ISR", "SIR", "SAR"]
    return section("BSSEval v4", _BSSEVAL, table(headings, rows)) if rows else ""


def signs(comparison: Comparison) -> str:
    """What is seen without true stems, a row for each model.

    Args:
        comparison: What is compared, without stems that were added up.
    """
    rows, reach = [], 0.0
    for name, column in comparison.shown.items():
        seen = examination(comparison.mixture, column)
        reach = seen.mixture_band_edge_hz
        ends = min(seen.sources, key=lambda stem: seen.sources[stem].band_edge_hz)
        edge = with_note(_kilohertz(seen.sources[ends].band_edge_hz), ends)
        rows.append(row(head(name), (f"{decibels(seen.residual_db)} dB", _most_alike(seen), edge)))
    words = f"{_SIGNS} The recording reaches {_kilohertz(reach)}."
    return section(
        "Without true stems", words, table(["model", "residual", "most alike", "first to end"], rows)
    )


def _most_alike(seen: Examination) -> str:
    known = [
        (value, one, other)
        for one, others in seen.leakage.items()
        for other, value in others.items()
        if not math.isnan(value)
    ]
    if not known:
        return "–"
    value, one, other = max(known)
    return with_note(f"{value:.2f}".replace("-", "−"), f"{one} and {other}")


def _kilohertz(hertz: float) -> str:
    return f"{hertz / 1000:.1f} kHz"
