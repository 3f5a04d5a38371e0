"""The options that `unbraid plot` and `unbraid compare` share, and the recordings they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from unbraid.cli.options import parse_time
from unbraid.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

F = TypeVar("F", bound="Callable[..., object]")

_OPTIONS = (
    click.option(
        "--stems", "folders", multiple=True, metavar="[NAME=]FOLDER", show_default="none",
        help="Stems that are there already: a column of their own. May be given again.",
    ),
    click.option(
        "--truth", metavar="FOLDER", show_default="none", help="True stems: the first column."
    ),
    click.option("--start", type=parse_time, metavar="TIME", default="0", help="Begin here, in every file."),
    click.option(
        "--duration", type=parse_time, metavar="TIME", show_default="to the end", help="Only this much."
    ),
    click.option(
        "--scale", type=click.Choice(("log", "linear", "mel")), default="log",
        help="Axis of frequency: equal intervals, equal steps in Hz, or steps that sound equal.",
    ),
)  # fmt: skip


def picture_options(command: F) -> F:
    """Give a command the options above."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file unasked, before any work.

    Raises:
        UsageError: If it is there and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; --overwrite replaces it, --out names another")
