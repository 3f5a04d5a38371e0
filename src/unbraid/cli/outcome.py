"""What became of one input, as a line of JSON and as a line of the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbraid.cli.pace import clock
from unbraid.errors import UnbraidError

if TYPE_CHECKING:
    from pathlib import Path

    from unbraid.delivery import Separation

NUMBERS = ("duration", "time", "RTF", "gain", "residual")
HEADINGS = ("track", *NUMBERS, "result")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input: a separation or an error."""

    input: Path
    separation: Separation | None = None
    error: Exception | None = None

    @property
    def result(self) -> str:
        """In a word: done, skipped or failed."""
        if self.separation is None:
            return "failed"
        return "skipped" if self.separation.skipped else "done"

    @property
    def sentence(self) -> str:
        """What went wrong; empty where nothing did."""
        if self.error is None or isinstance(self.error, UnbraidError):
            return str(self.error or "")
        return f"{self.input}: this is a bug: {type(self.error).__name__}: {self.error}"

    def to_json(self) -> dict[str, Any]:
        """The line of `--json`, as plain values; every line has `result` and `input`."""
        line: dict[str, Any] = {"result": self.result, "input": str(self.input)}
        if self.separation is None:
            kind, code = type(self.error).__name__, getattr(self.error, "exit_code", UnbraidError.exit_code)
            return {**line, "error": self.sentence, "kind": kind, "exit_code": code}
        return {**line, **self.separation.to_json()}

    def row(self) -> tuple[str, ...]:
        """The line of the summary, under `HEADINGS`, of a recording that was separated or failed."""
        if self.separation is None:
            return (self.input.name, *("–" for _ in NUMBERS), self.result)
        done = self.separation
        return (
            done.track,
            clock(done.audio_seconds),
            clock(done.elapsed_seconds),
            factor(done.rtf),
            decibels(done.gain_db),
            decibels(done.residual_db),
            self.result,
        )


def factor(rtf: float | None) -> str:
    """A real-time factor to two decimals, or as many as two digits need; a dash where there is none.

    >>> factor(1.234), factor(0.00456), factor(None)
    ('1.23', '0.0046', '–')
    """
    if rtf is None:
        return "–"
    return f"{rtf:.2f}" if rtf >= 0.1 or not rtf else f"{rtf:.2g}"


def decibels(value: float | None) -> str:
    """A level with its unit; a dash where there is none.

    >>> decibels(-12.34), decibels(None)
    ('-12.3 dB', '–')
    """
    return "–" if value is None else f"{value:.1f} dB"
