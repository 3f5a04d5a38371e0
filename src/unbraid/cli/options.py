"""The kinds of values that options take beyond click's own, and what all commands share."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click import Context, Parameter

F = TypeVar("F", bound="Callable[..., Any] | click.Command")  # what click decorates

# Given to every command: click calls it context_settings.
SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 100,
}
_TIME = re.compile(r"(?:(\d{1,9}):)??(?:(\d{1,9}):)?(\d{1,9}(?:\.\d{0,9})?)", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9}(?:\.\d{0,9})?) ?([MG])B?", re.ASCII | re.IGNORECASE)


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        grouped = {name for names in self.groups.values() for name in names}
        others = tuple(option.name for option in options if option.name not in grouped)
        for heading, names in {**self.groups, "Help": others}.items():
            records = [option.get_help_record(ctx) for option in options if option.name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record])


def parse_time(text: str) -> float:
    """A point or a length of time in seconds; click shows the refusal.

    >>> [parse_time(text) for text in ("90", "1:30", "0:01:30.250", "75:00")]
    [90.0, 90.0, 90.25, 4500.0]
    """
    found = _TIME.fullmatch(text)
    if found:
        hours, minutes, seconds = int(found[1] or 0), int(found[2] or 0), float(found[3])
        # Only the largest part may exceed 59.
        if (found[2] is None or seconds < 60) and (found[1] is None or minutes < 60):
            return 3600 * hours + 60 * minutes + seconds
    raise click.BadParameter(
        f"{text!r} is no time; write seconds (90.5), m:ss (1:30) or h:mm:ss.mmm (0:01:30.250)."
    )


def parse_memory(text: str) -> int:
    """An amount of memory in bytes; click shows the refusal.

    >>> parse_memory("800MB"), parse_memory("1.5 GB")
    (800000000, 1500000000)
    """
    found = _MEMORY.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise click.BadParameter(
            f"{text!r} is no amount of memory; write megabytes (800MB) or gigabytes (2GB)."
        )
    return round(float(found[1]) * 10 ** (6 if found[2].upper() == "M" else 9))


def require_finite(ctx: Context, param: Parameter, value: float | None) -> float | None:
    """Refuse NaN and infinity, which every comparison with a range lets pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no finite number.", ctx, param)
    return value


def flag(*names: str, help: str, is_eager: bool = False) -> Callable[[F], F]:  # noqa: A002 - click's name
    """An option without a value, off unless it is given; its help says so."""
    return click.option(*names, is_flag=True, is_eager=is_eager, help=f"{help}  [default: off]")
