"""Bricks of the page: sections, tables, names and numbers; whatever comes from outside is escaped."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from unbraid.plot.style import colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTHING = '<span class="none">none</span>'


def section(heading: str, words: str, body: str) -> str:
    """A part of the page under its heading.

    Args:
        heading: Its name, as text.
        words: What the reader needs to know, as text.
        body: What follows, as HTML.
    """
    said = f"<p>{escape(words)}</p>\n" if words else ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{said}{body}</section>\n"


def table(headings: Sequence[str], rows: Iterable[str]) -> str:
    """A table of numbers.

    Args:
        headings: Of the columns, as text.
        rows: Each a `row`.
    """
    heads = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    lines = "".join(rows)
    return (
        f'<div class="scroll"><table class="numbers"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>\n"
    )


def row(head: str, cells: Iterable[str]) -> str:
    """A line of a table.

    Args:
        head: Its first cell, from `stem_head` or `head`.
        cells: The others, as HTML.
    """
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"


def head(name: str) -> str:
    """The cell that names a row."""
    return f'<th scope="row">{escape(name)}</th>'


def stem_head(stem: str) -> str:
    """The cell that names a stem, with its colour in the pictures."""
    swatch = f'<span class="swatch" style="background:{colour(stem)}"></span>'
    return f'<th scope="row">{swatch}{escape(stem)}</th>'


def with_note(number: str, note: str) -> str:
    """A number with a smaller word below it."""
    return f"{number}<small>{escape(note)}</small>"


def decibels(value: float) -> str:
    """A level for a table; a dash where there is none.

    >>> decibels(7.126), decibels(float("-inf")), decibels(float("nan"))
    ('7.13', '−∞', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.2f}".replace("-", "−")
