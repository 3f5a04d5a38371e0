"""`unbraid plot`: a recording and its stems as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pictures import picture_options, require_free
from unbraid.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unbraid.comparison.columns import Comparison
    from unbraid.plot.spectrogram import Scale

_NEED_TRUTH = ("errors", "differences", "sdr")
_KINDS = ("spectrograms", "waveforms", "masks", *_NEED_TRUTH)


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Kinds:
  spectrograms   of all stems on one scale of level
  waveforms      of all stems on one scale of amplitude
  masks          what each stem keeps of the recording
  errors         true stem minus estimate               } with --truth
  differences    where there is too much, where too little  }
  sdr            SDR over time under the waveform           }

\b
Examples:
  unbraid plot song.flac
  unbraid plot song.flac --stems separated/htdemucs/song -o song.pdf
  unbraid plot song.flac --stems a/ --stems b/ --truth stems/ --kind errors --start 1:00 --duration 10
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@picture_options
@click.option(
    "--kind", type=click.Choice(_KINDS), default="spectrograms", help="What is drawn where there are stems."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="PICTURE",
    show_default="FILE's name, .png", help="Where the picture goes: .png, .svg or .pdf.",
)  # fmt: skip
@flag("--overwrite", help="Replace a picture that exists.")
def plot(**values: Any) -> None:
    """Draw a recording, or its stems in a grid.

    Each stem is a row, each folder of stems a column, and all share one scale. Without stems, the recording's
    waveform and spectrogram are drawn. Pictures are as wide as a page.
    """
    _run(_Wish(**values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The options, named as on the command line."""

    file: Path
    folders: tuple[str, ...]
    truth: str | None
    start: float
    duration: float | None
    scale: str
    kind: str
    out: Path | None
    overwrite: bool


def _run(wish: _Wish) -> None:
    # Imported here so that help is instant: this brings torch and matplotlib.
    from unbraid.comparison.columns import Comparison, Part, named_folders, song_name, stems_in
    from unbraid.io.naming import track_name
    from unbraid.plot import grids
    from unbraid.plot.spectrogram import Scale
    from unbraid.plot.style import require_format, save

    target = wish.out or Path(f"{track_name(wish.file)}.png")
    require_format(target)
    require_free(target, overwrite=wish.overwrite)
    if wish.kind in _NEED_TRUTH and not (wish.truth and wish.folders):
        raise UsageError(f"--kind {wish.kind} compares stems with true ones; give --stems and --truth")
    part, scale = Part(wish.start, wish.duration), Scale(wish.scale)
    mixture = part.of(wish.file, song_name(wish.file))
    if wish.folders or wish.truth:
        references = stems_in(Path(wish.truth), part)[1] if wish.truth else {}
        compared = Comparison(mixture, named_folders(wish.folders, part), references, {})
        figure = _figure(compared.completed(), wish.kind, scale)
    else:
        figure = grids.overview(mixture, scale=scale)
    console.out(str(save(figure, target)))


def _figure(compared: Comparison, kind: str, scale: Scale) -> Figure:
    """The picture that was asked for."""
    from unbraid.comparison.numbers import courses
    from unbraid.plot import grids

    references, columns, shown = compared.references, compared.columns, compared.shown
    if kind == "errors":
        return grids.errors(references, columns, scale=scale)
    if kind == "differences":
        return grids.differences(references, columns, scale=scale)
    if kind == "sdr":
        return grids.scores(references, courses(compared))
    if kind == "masks":
        return grids.masks(compared.mixture, shown, scale=scale)
    if kind == "waveforms":
        return grids.waveforms(shown)
    return grids.spectrograms(shown, scale=scale)
