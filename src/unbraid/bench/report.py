"""What was measured, as a table for people and as plain values for programs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from unbraid.bench.machine import machine
from unbraid.bench.measure import Measured
from unbraid.bench.rtf import STEADY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbraid.bench.run import Outcome

HEADINGS = ("model", "backend", "precision", "threads", "RTF", "±", "first use", "peak memory", "SNR")
NUMBERS = HEADINGS[3:]
NOTE = (
    "RTF: processing time by audio time, overlap included, files not; ± is how sure its median is. First "
    "use: loading, and all until the first segment is done. SNR: of the source that differs most from the "
    "model's first row."
)


def rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A row for each case that was measured."""
    return [
        (
            str(outcome.case.subject),
            outcome.case.backend,
            outcome.case.precision,
            str(outcome.case.threads),
            f"{outcome.result.rtf:.3f}",
            f"{100 * outcome.result.run_error:.0f} %",
            f"{outcome.result.load_seconds + outcome.result.first_use_seconds:.1f} s",
            _memory(outcome.result),
            _decibels(outcome.result.snr_db),
        )
        for outcome in outcomes
        if isinstance(outcome.result, Measured)
    ]


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What a reader of the table should know."""
    found = [outcome for outcome in outcomes if isinstance(outcome.result, Measured)]
    unsteady = [
        str(outcome.case)
        for outcome in found
        if isinstance(outcome.result, Measured) and outcome.result.run_error > STEADY
    ]
    said = [NOTE] if found else []
    if unsteady:
        said.append(
            f"not steady yet: {'; '.join(unsteady)}: other programs may be busy; more --seconds may help"
        )
    return said


def to_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything, with the machine that it comes from; what JSON has no number for is None.

    Returns:
        `{"machine": {...}, "results": [...]}`; a result holds the case, and what was measured or the
        error; `is_same` is true where the SNR is infinite.
    """
    return {"machine": machine(), "results": [_result(outcome) for outcome in outcomes]}


def _result(outcome: Outcome) -> dict[str, Any]:
    case = asdict(outcome.case)
    told = {**case.pop("subject"), **case}
    if not isinstance(outcome.result, Measured):
        return {**told, "error": str(outcome.result)}
    figures = {
        "rtf": outcome.result.rtf,
        "gflop_per_second": outcome.result.gflop_per_second,
        **asdict(outcome.result),
    }
    ratio = outcome.result.snr_db
    finite = ratio if ratio is not None and math.isfinite(ratio) else None
    return {**told, **figures, "snr_db": finite, "is_same": ratio == math.inf, "error": None}


def _memory(result: Measured) -> str:
    """Main memory, and the device's own where it has some."""
    return (
        " + ".join(
            f"{held / 1e6:.0f} MB"
            for held in (result.peak_bytes, result.device_peak_bytes)
            if held is not None
        )
        or "–"
    )


def _decibels(value: float | None) -> str:
    if value is None:
        return "–"
    return "same" if value == math.inf else f"{value:.1f} dB"
