"""How pictures look: colours that colour-blind eyes tell apart, letters for paper, files that can be kept.

The colours of stems are those of Okabe and Ito, "Color Universal Design", 2008; that of levels is magma,
whose steps look equally large in any eye and in grey, from white on: paper stays white where nothing sounds.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from unbraid.errors import MachineError, UsageError, did_you_mean

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_INCHES = 7.1  # the width of a page less its margins
MOST_INCHES = 200.0  # higher than any page; a picture of more stems than that is a mistake
COLOURS = {
    "mixture": "#444444",
    "vocals": "#cc79a7",
    "drums": "#d55e00",
    "bass": "#0072b2",
    "other": "#009e73",
    "guitar": "#e69f00",
    "piano": "#56b4e9",
}
NEUTRAL = "#444444"
# For lines that lie over each other: dashes tell them apart where colours cannot.
LINES = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#56b4e9", (0, (5, 1))),
    ("#e69f00", (0, (3, 1, 1, 1))),
)
INK = LinearSegmentedColormap.from_list("ink", ["white", *mpl.colormaps["magma_r"](np.linspace(0.08, 1, 24))])
FORMATS = (".png", ".svg", ".pdf")
DPI = 200
_PALETTE = 256  # colours of a compact picture


def style() -> AbstractContextManager[None]:
    """Letters and lines for paper, inside a `with`; matplotlib's settings are put back behind it."""
    return mpl.rc_context(
        {
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "legend.fontsize": 7,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "axes.linewidth": 0.5,
            "xtick.major.width": 0.5,
            "ytick.major.width": 0.5,
            "xtick.major.size": 2,
            "ytick.major.size": 2,
            "pdf.fonttype": 42,  # letters stay letters: publishers refuse the other kind
            "svg.hashsalt": "unbraid",  # the same picture gives the same file
        }
    )


def colour(stem: str) -> str:
    """The colour of a stem in every picture; a neutral one for stems that have none of their own.

    >>> colour("drums"), colour("accompaniment") == NEUTRAL
    ('#d55e00', True)
    """
    return COLOURS.get(stem, NEUTRAL)


def quiet_frame(axes: Axes) -> Axes:
    """Axes whose frame stands back behind what is drawn."""
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="#999999")
    return axes


def save(figure: Figure, path: str | Path, *, dpi: int = DPI) -> Path:
    """A figure as a file, whose suffix says the format: .png, .svg or .pdf.

    Args:
        figure: What is drawn.
        path: Where the file shall be; missing folders are made, a file that is there is replaced.
        dpi: Dots an inch, of a PNG and of the spectrograms inside the others.

    Returns:
        The path. The same picture drawn again gives the same bytes: no date is written.

    Raises:
        UsageError: If the suffix is none of these.
        MachineError: If the file cannot be written.
    """
    path = Path(path)
    require_format(path)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with style():
            figure.savefig(path, dpi=dpi, metadata=metadata)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise MachineError(
            f"{path} cannot be written ({error.strerror or error}); choose a folder "
            "that this user may write to"
        ) from error
    return path


def compact_png(figure: Figure, *, dpi: int = DPI) -> bytes:
    """A figure as a PNG with a palette, which is a quarter of the size and looks the same."""
    raw = io.BytesIO()
    with style():
        figure.savefig(raw, format="png", dpi=dpi)
    small = io.BytesIO()
    colours = Image.open(raw).convert("RGB").quantize(_PALETTE, dither=Image.Dither.NONE)
    colours.save(small, format="png", optimize=True)
    return small.getvalue()


def require_format(path: Path) -> None:
    """Refuse a file name that no picture format has, before anything is computed.

    Raises:
        UsageError: If the suffix is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path.name}: a picture's name ends in {', '.join(FORMATS)}"
            f"{did_you_mean(path.suffix.lower(), FORMATS)}"
        )
