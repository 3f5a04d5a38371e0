"""The kinds of values that options take, beyond those of click."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click import Context, Parameter

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}


class Time(click.ParamType[float]):
    """A point or a length of time: `90`, `1:30` or `0:01:30.250`.

    >>> [TIME.convert(text, None, None) for text in ("90", "1:30", "0:01:30.250")]
    [90.0, 90.0, 90.25]
    """

    name = "time"

    def convert(self, value: str | float, param: Parameter | None, ctx: Context | None) -> float:
        """Seconds from the text; click shows the refusal."""
        if isinstance(value, (int, float)):
            return float(value)
        if not re.fullmatch(r"(\d+:)?(\d+:)?\d+(\.\d*)?", value, re.ASCII):
            self.fail(
                f"{value!r} is no time; write seconds (90), m:ss (1:30) or h:mm:ss.mmm (0:01:30.250)",
                param,
                ctx,
            )
        *bigger, seconds = value.split(":")
        if bigger and any(float(part) >= 60 for part in [*bigger[1:], seconds]):
            self.fail(
                f"{value!r} has a part of 60 or more after a colon; did you mean plain seconds?", param, ctx
            )
        total = 0.0
        for part in (*bigger, seconds):
            total = 60 * total + float(part)
        return total


class Number(click.FloatRange):
    """A float in a range that is neither NaN nor infinite."""

    name = "number"

    def convert(self, value: str | float, param: Parameter | None, ctx: Context | None) -> float:
        """The number; click shows the refusal."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return float(number)


TIME = Time()
