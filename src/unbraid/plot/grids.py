"""Grids: each stem a row, each model a column, all on one scale, true stems first where there are any.

                 true        htdemucs    spleeter.2stems
    vocals       ▁▃█▂▁       ▁▃█▂▁       ▁▃▆▂▁
    drums        █▁█▁█       █▁▇▁█       none

Columns are drawn in the order they are given. Only envelopes and levels are held, never samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from unbraid.errors import UsageError
from unbraid.metrics.workers import spread
from unbraid.plot.masks import MASK_DB, mask
from unbraid.plot.scores import sdr_over_time
from unbraid.plot.sound import measured, mixed
from unbraid.plot.spectrogram import (
    DIFFERENCE_DB,
    RANGE_DB,
    Levels,
    Scale,
    difference,
    levels,
    spectrogram,
)
from unbraid.plot.style import MOST_INCHES, PAPER_INCHES, colour, style
from unbraid.plot.waveform import Envelope, envelope, waveform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias, TypeVar

    from matplotlib.axes import Axes

    from unbraid.plot.scores import Course
    from unbraid.plot.sound import Sound

    T = TypeVar("T")
    S = TypeVar("S")
    # By a column's name, then by a stem's: recordings, or their levels where those are known already.
    Columns: TypeAlias = Mapping[str, Mapping[str, Sound]]
    Leveled: TypeAlias = Mapping[str, Mapping[str, Sound | Levels]]

ROW_INCHES = {"waveforms": 0.6, "spectrograms": 1.0, "sdr": 1.6}
_LABEL_POINTS = {"waveforms": 6, "spectrograms": 32}  # from the axes to a stem's name: numbers stand between
_EDGES_INCHES = 0.7  # titles above and time below
_LEVEL = "level in dB of full scale"


def stems_of(columns: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Every stem that any column has, in the order they first come up.

    >>> stems_of({"true": {"vocals": 0, "drums": 0}, "spleeter": {"vocals": 0, "accompaniment": 0}})
    ['vocals', 'drums', 'accompaniment']
    """
    return list(dict.fromkeys(stem for column in columns.values() for stem in column))


def waveforms(columns: Columns) -> Figure:
    """The waveforms of stems, on one scale of amplitude.

    Args:
        columns: Recordings by the column's name, then by the stem's.

    Returns:
        A figure as wide as a page, one Axes a cell, row by row; a cell without a recording says so.

    Raises:
        UsageError: If there is nothing to draw.
        AudioError: If a recording cannot be read.
    """
    found = each(columns, envelope)
    full = max(drawn.peak for column in found.values() for drawn in column.values()) or 1.0

    def cell(axes: Axes, drawn: Envelope, stem: str) -> None:
        waveform(axes, drawn, full=full, colour=colour(stem))

    return _grid(found, cell, "waveforms")[0]


def spectrograms(columns: Leveled, *, scale: Scale = Scale.LOG, range_db: float = RANGE_DB) -> Figure:
    """The spectrograms of stems, on one scale of level: the darkest colour is the loudest of them all.

    Args:
        columns: Recordings, or their levels, by the column's name, then by the stem's.
        scale: How frequency goes up; levels that are given keep their own.
        range_db: How far below the loudest white begins.

    Returns:
        A figure as wide as a page, one Axes a cell, row by row, and a bar of levels.

    Raises:
        UsageError: If there is nothing to draw.
        AudioError: If a recording cannot be read.
    """
    found = each(columns, _levels(scale))
    top = max(drawn.loudest_db for column in found.values() for drawn in column.values())

    def cell(axes: Axes, drawn: Levels, _stem: str) -> None:
        spectrogram(axes, drawn, top_db=top, range_db=range_db)

    return _with_bar(*_grid(found, cell, "spectrograms"), _LEVEL)


def errors(
    references: Mapping[str, Sound], columns: Columns, *, scale: Scale = Scale.LOG, range_db: float = RANGE_DB
) -> Figure:
    """What each estimate has wrong, as spectrograms of reference minus estimate, beside the references.

    Args:
        references: True sources by name; they are the first column, and the loudest is the darkest colour.
        columns: Estimates by the column's name, then by the stem's; stems without a reference are left out.
        scale: How frequency goes up.
        range_db: How far below the loudest reference white begins.

    Returns:
        A figure as wide as a page.

    Raises:
        UsageError: If no stem has a reference.
        ShapeError: If an estimate is not as long as its reference, or of another rate.
        AudioError: If a recording cannot be read.
    """
    wrong = {
        f"true − {name}": {
            stem: mixed([references[stem], sound], [1, -1])
            for stem, sound in column.items()
            if stem in references
        }
        for name, column in columns.items()
    }
    stems = stems_of(wrong)
    return spectrograms(
        {"true": {stem: references[stem] for stem in references if stem in stems}, **wrong},
        scale=scale,
        range_db=range_db,
    )


def differences(
    references: Mapping[str, Sound | Levels],
    columns: Leveled,
    *,
    scale: Scale = Scale.LOG,
    range_db: float = RANGE_DB,
) -> Figure:
    """Where estimates have more than the references (red) and where less (blue).

    Args:
        references: True sources by name.
        columns: As in `errors`.
        scale: How frequency goes up.
        range_db: What lies so far below the loudest reference counts as silence.

    Returns:
        A figure as wide as a page.

    Raises:
        UsageError: If no stem has a reference.
        ShapeError: If an estimate is not as long as its reference, or of another rate.
        AudioError: If a recording cannot be read.
    """
    true = each({"true": references}, _levels(scale))["true"]
    top = max(drawn.loudest_db for drawn in true.values())
    shared = {
        name: {stem: sound for stem, sound in column.items() if stem in true}
        for name, column in columns.items()
    }
    found = each(shared, _levels(scale))

    def cell(axes: Axes, drawn: Levels, stem: str) -> None:
        difference(axes, true[stem], drawn, top_db=top, range_db=range_db)

    return _with_bar(*_grid(found, cell, "spectrograms"), f"estimate − reference in dB, ±{DIFFERENCE_DB:g}")


def masks(
    mixture: Sound | Levels, columns: Leveled, *, scale: Scale = Scale.LOG, range_db: float = RANGE_DB
) -> Figure:
    """What each stem keeps of the mixture.

    Args:
        mixture: The recording that was separated.
        columns: Stems by the column's name, then by their own.
        scale: How frequency goes up.
        range_db: Where the mixture is so far below its loudest, grey.

    Returns:
        A figure as wide as a page.

    Raises:
        UsageError: If there is nothing to draw.
        ShapeError: If a stem is not as long as the mixture, or of another rate.
        AudioError: If a recording cannot be read.
    """
    whole = _levels(scale)(mixture)
    found = each(columns, _levels(scale))

    def cell(axes: Axes, drawn: Levels, _stem: str) -> None:
        mask(axes, whole, drawn, range_db=range_db)

    return _with_bar(*_grid(found, cell, "spectrograms"), f"gain from the mixture in dB, −{MASK_DB:g} to 0")


def scores(references: Mapping[str, Sound], courses: Mapping[str, Mapping[str, Course]]) -> Figure:
    """SDR over time for each stem, under the waveform of its reference.

    Args:
        references: True sources by name.
        courses: What `scores.course` gave, by the stem's name, then by the model's.

    Returns:
        A figure as wide as a page: for each stem an Axes with its waveform and one with a line a model.

    Raises:
        UsageError: If no stem has a course.
        AudioError: If a reference cannot be read.
    """
    stems = [stem for stem in references if courses.get(stem)]
    drawn = each({"true": {stem: references[stem] for stem in stems}}, envelope)["true"]
    with style():
        figure = _figure(ROW_INCHES["sdr"] * len(stems))
        axes = figure.subplots(
            2 * len(stems), 1, sharex=True, squeeze=False, height_ratios=[1, 2.5] * len(stems)
        )[:, 0]
        for stem, above, below in zip(stems, axes[::2], axes[1::2], strict=True):
            waveform(above, drawn[stem], colour=colour(stem))
            above.set_title(stem, loc="left", weight="bold", pad=1)
            above.tick_params(bottom=False)
            sdr_over_time(below, courses[stem])
        axes[-1].locator_params(axis="x", steps=[1, 2, 5, 10])
        axes[-1].set_xlabel("time in seconds")
    return figure


def overview(mixture: Sound, *, scale: Scale = Scale.LOG, range_db: float = RANGE_DB) -> Figure:
    """One recording: its waveform over its spectrogram.

    Args:
        mixture: The recording.
        scale: How frequency goes up.
        range_db: How far below the loudest white begins.

    Returns:
        A figure as wide as a page with two Axes, and a bar of levels.

    Raises:
        AudioError: If it cannot be read.
    """
    source = measured(mixture)
    with style():
        figure = _figure(2.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 3])
        waveform(above, source)
        above.tick_params(bottom=False)
        above.set_title(_literal(source.name), loc="left", weight="bold")
        spectrogram(below, source, scale=scale, range_db=range_db)
        below.set_xlabel("time in seconds")
        figure.supylabel("frequency in Hz", fontsize=8)
    return _with_bar(figure, [above, below], _LEVEL)


def _levels(scale: Scale) -> Callable[[Sound | Levels], Levels]:
    """Computes levels where they are not known."""
    return lambda sound: sound if isinstance(sound, Levels) else levels(sound, scale=scale)


def each(columns: Mapping[str, Mapping[str, S]], summary: Callable[[S], T]) -> dict[str, dict[str, T]]:
    """What is drawn of each recording; each is read once, several side by side.

    Args:
        columns: Recordings by the column's name, then by the stem's.
        summary: From a recording to its envelope or its levels.

    Raises:
        UsageError: If there are none.
    """
    if not stems_of(columns):
        raise UsageError("there is nothing to draw: no stem is given, or none of them has a true one")
    sounds = [sound for column in columns.values() for sound in column.values()]
    found = iter(spread(summary, sounds))
    return {name: {stem: next(found) for stem in column} for name, column in columns.items()}


def _figure(content_inches: float) -> Figure:
    height = min(MOST_INCHES, content_inches + _EDGES_INCHES)
    layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02, hspace=0.02, wspace=0.05)
    return Figure(figsize=(PAPER_INCHES, height), layout=layout)


def _grid(
    columns: Mapping[str, Mapping[str, T]], cell: Callable[[Axes, T, str], None], kind: str
) -> tuple[Figure, list[Axes]]:
    """One Axes for each stem and column, and what is said around them."""
    stems = stems_of(columns)
    with style():
        figure = _figure(ROW_INCHES[kind] * len(stems))
        axes = figure.subplots(len(stems), len(columns), sharex=True, sharey="row", squeeze=False)
        for row, stem in zip(axes, stems, strict=True):
            for place, (name, column) in zip(row, columns.items(), strict=True):
                place.set_gid(f"{stem}/{name}")
                if stem in column:
                    cell(place, column[stem], stem)
                else:
                    _empty(place, f"no {stem}")
                place.tick_params(bottom=False)
                place.locator_params(axis="x", nbins=5, steps=[1, 2, 5, 10])
            row[0].annotate(
                _literal(stem),
                (0, 0.5),
                xytext=(-_LABEL_POINTS[kind], 0),
                xycoords="axes fraction",
                textcoords="offset points",
                rotation=90,
                va="center",
                ha="right",
                weight="bold",
            )
        for place, name in zip(axes[0], columns, strict=True):
            place.set_title(_literal(name))
        for place in axes[-1]:
            place.tick_params(bottom=True)
        figure.supxlabel("time in seconds", fontsize=8)
        if kind == "spectrograms":
            figure.supylabel("frequency in Hz", fontsize=8)
    return figure, list(axes.flat)


def _empty(axes: Axes, words: str) -> None:
    """A cell that has no recording."""
    axes.text(0.5, 0.5, _literal(words), transform=axes.transAxes, ha="center", va="center", color="#777777")
    axes.tick_params(left=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _with_bar(figure: Figure, axes: Sequence[Axes], label: str) -> Figure:
    """The same figure with a bar that says what colours mean."""
    image = next(place.images[-1] for place in reversed(axes) if place.images)
    with style():
        bar = figure.colorbar(image, ax=list(axes), shrink=0.9, aspect=40, pad=0.012)
        bar.set_label(label)
        bar.outline.set_linewidth(0.5)
    return figure


def _literal(text: str) -> str:
    """A name as it is: what stands between two dollars would be taken for mathematics."""
    return text.replace("$", r"\$")
