"""What people see: sentences, tables and progress. The only module that writes to the terminal.

Data goes to stdout, everything for people to stderr. Progress is a bar where stderr is a terminal and a
plain line now and then where it is not: a log file never holds a control character.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import sys
import traceback
import unicodedata
from typing import TYPE_CHECKING, Literal, TextIO

from unbraid.cli.pace import clock, size
from unbraid.progress import OutputReady, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console
    from typing_extensions import Self

    from unbraid.progress import Event, Progress

WORDS = {
    Stage.FETCH: "fetching",
    Stage.MEASURE: "measuring",
    Stage.TUNE: "trying what is fastest here, once",
    Stage.SEPARATE: "separating",
    Stage.FINISH: "finishing",
    Stage.SCORE: "scoring",
}
SHORT = 16  # columns up to so many letters are never broken: longer ones give way on a narrow terminal
NOT_THE_NAME = 46  # columns of ": separating", a short bar, "100 %", "1:02:05 left" and what is between them
LINE_EVERY_SECONDS = 2.0  # plain lines of one stage are at least this far apart


def survive_odd_streams() -> None:
    """Make both streams take any text: what they cannot encode is escaped, what is closed swallows all."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    r"""The text without anything that steers a terminal: control characters and lone surrogates are escaped.

    >>> print(printable("a\x1b[31mb\n"), printable("Ärger 歌 🎸"))
    a\x1b[31mb\n Ärger 歌 🎸
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in {"Cc", "Cs"} else char
        for char in text
    )


def out(text: str) -> None:
    """One line of data to stdout."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """One line for people, to stderr."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def fail(sentence: str) -> None:
    """One sentence that says what went wrong, to stderr."""
    say(f"unbraid: {sentence}")


def show_traceback() -> None:
    """Where the exception being handled came from, to stderr."""
    for line in traceback.format_exc().splitlines():
        say(line)


def out_json(value: object) -> None:
    """One JSON value on one line of stdout, in ASCII; infinities and NaN, which JSON lacks, become null."""
    out(json.dumps(_finite(value), allow_nan=False, default=str))


def _finite(value: object) -> object:
    """The value with every float that JSON cannot hold replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


class LogLines(logging.Handler):
    """Log records as lines for people, so that they pass above a running bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        say(f"unbraid: {record.getMessage()}")


def out_table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """A table to stdout; columns whose headings stand in `numbers` are aligned at their right."""
    _write_table(sys.stdout, headings, rows, numbers)


def say_table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """The same to stderr."""
    _write_table(sys.stderr, headings, rows, numbers)


def _write_table(
    stream: TextIO, headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown = [[Text(printable(cell)) for cell in row] for row in rows]
    for column, heading in enumerate(headings):
        widest = max([len(heading), *(row[column].cell_len for row in shown)])
        side: Literal["left", "right"] = "right" if heading in numbers else "left"
        table.add_column(heading, justify=side, overflow="fold", no_wrap=widest <= SHORT)
    for row in shown:
        table.add_row(*row)
    console = _console(stream)
    with console.capture() as captured:
        console.print(table)
    stream.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    stream.flush()


def _console(stream: TextIO) -> Console:
    """A console as wide as the terminal; in a file, as wide as its content."""
    from rich.console import Console

    terminal = is_terminal(stream)
    return Console(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else 100_000,
        markup=False,
        emoji=False,
        highlight=False,
    )


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a screen that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


class Display:
    """Progress that nobody sees; the other two draw it. A context manager that can be called with events."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Take one event of a stage."""

    def batch(
        self, position: int, total: int, fraction: float, eta_seconds: float | None, what: str = "file"
    ) -> None:
        """Say where the whole batch is: at file `position` of `total`, from one, and how far in all."""


class Lines(Display):
    """Progress as plain lines: the start of each stage, then at most one for every tenth on the way."""

    def __init__(self) -> None:
        self._stage: tuple[str, Stage] | None = None
        self._tenth = 0
        self._said_at = 0.0
        self._position = ("", 0)

    def __call__(self, event: Event) -> None:
        """Write a line if the last one is old enough."""
        if isinstance(event, OutputReady):
            return
        tenth = int((event.fraction or 0.0) * 10)
        if self._stage != (event.name, event.stage):
            self._stage = (event.name, event.stage)
        elif not self._tenth < tenth < 10 or event.elapsed_seconds - self._said_at < LINE_EVERY_SECONDS:
            return
        self._tenth, self._said_at = tenth, event.elapsed_seconds
        details = [f"{10 * tenth} %" if tenth else "", _left(event.eta_seconds), _bytes(event)]
        said = ", ".join(detail for detail in details if detail)
        say(f"{event.name}: {WORDS[event.stage]}{f' ({said})' if said else ''}")

    def batch(
        self, position: int, total: int, fraction: float, eta_seconds: float | None, what: str = "file"
    ) -> None:
        """One line for each file."""
        if (what, position) != self._position:
            self._position = (what, position)
            left = _left(eta_seconds)
            so_far = f" ({100 * fraction:.0f} % of all, {left})" if left else ""
            say(f"{what} {position} of {total}{so_far}")


class Bars(Display):
    """Progress as a bar for the stage at hand and one for the whole batch."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=_console(sys.stderr),
            transient=True,
            refresh_per_second=5,
            redirect_stdout=False,  # stdout is data: it must never be drawn on stderr
        )
        self._stage = self._bars.add_task("", visible=False, left="")
        self._batch = self._bars.add_task("", visible=False, left="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Move the upper bar."""
        if isinstance(event, OutputReady):
            return
        self._bars.update(
            self._stage,
            description=f"{self._fitting(event.name)}: {WORDS[event.stage]}",
            completed=event.done,
            total=event.total,
            left=", ".join(filter(None, [_left(event.eta_seconds), _bytes(event)])),
            visible=True,
        )

    def batch(
        self, position: int, total: int, fraction: float, eta_seconds: float | None, what: str = "file"
    ) -> None:
        """Move the lower bar."""
        self._bars.update(
            self._batch,
            description=printable(f"{what} {position} of {total}"),
            completed=fraction,
            total=1.0,
            left=_left(eta_seconds),
            visible=True,
        )

    def _fitting(self, name: str) -> str:
        """The name, cut where the bar, the percentage and the time left need the room."""
        from rich.text import Text

        text = Text(printable(name))
        text.truncate(max(SHORT, self._bars.console.width - NOT_THE_NAME), overflow="ellipsis")
        return text.plain


def display(*, quiet: bool = False, data_on_stdout: bool = False) -> Display:
    """The display that suits the terminal.

    Args:
        quiet: Show nothing.
        data_on_stdout: Lines of data go to stdout meanwhile; where that is the same screen, a bar that
            redraws itself would tear them.
    """
    if quiet:
        return Display()
    shared = data_on_stdout and sys.stdout.isatty()
    return Bars() if is_terminal(sys.stderr) and not shared else Lines()


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{clock(seconds)} left"


def _bytes(event: Progress) -> str:
    """How many bytes have come, in the only stage that counts bytes."""
    if event.stage is not Stage.FETCH or not event.done:
        return ""
    return f"{size(event.done)} of {size(event.total)}" if event.total else size(event.done)
