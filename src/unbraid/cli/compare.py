"""`unbraid compare`: several models on one song, as a page to look at and listen to."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pictures import picture_options, require_free
from unbraid.errors import UsageError

if TYPE_CHECKING:
    import threading

    from unbraid.comparison.columns import Comparison
    from unbraid.io.source import Source
    from unbraid.progress import Listener


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid compare song.flac -n htdemucs -n spleeter.2stems
  unbraid compare song.flac -n htdemucs --truth stems/ --start 1:00 --duration 20
  unbraid compare song.flac --stems mine=stems/a --stems theirs=stems/b -o song.html
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-n", "--model", "models", multiple=True, metavar="NAME", show_default="none",
    help="Model, ensemble or preset to separate with: a column of its own. May be given again.",
)  # fmt: skip
@picture_options
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default="report.html", metavar="PAGE",
    help="Where the page goes.",
)  # fmt: skip
@flag("--overwrite", help="Replace a page that exists.")
@click.option(
    "--audio", type=click.Choice(("opus", "mp3", "flac")), default="opus",
    help="What the players hold. mp3 also plays in Safari before 18.4; flac is exact and large.",
)  # fmt: skip
@click.option(
    "--bitrate", type=click.IntRange(min=1), metavar="KBPS", show_default="128", help="Of opus and mp3."
)
@click.option("-d", "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", show_default="all cores", help="Processor threads."
)
@flag("--offline", help="Never reach for the internet.")
@click.option(
    "--weights-folder", "--repo", "weights_folder", type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER", show_default="none", help="Look for weights here first.",
)  # fmt: skip
@flag("-q", "--quiet", help="Show nothing but errors.")
def compare(**values: Any) -> None:
    """Hear and see several models on one song.

    They separate the song, and one page is made of it all: players in step with each other, pictures and,
    with --truth, scores. The page is one file that opens in any browser, needs no server and fetches nothing.
    The stems are not kept: 'unbraid separate' writes them, and --stems compares what it wrote.
    """
    _run(_Wish(**values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The options, named as on the command line."""

    file: Path
    models: tuple[str, ...]
    folders: tuple[str, ...]
    truth: str | None
    start: float
    duration: float | None
    scale: str
    out: Path
    overwrite: bool
    audio: str
    bitrate: int | None
    device: str
    threads: int | None
    offline: bool
    weights_folder: Path | None
    quiet: bool


def _run(wish: _Wish) -> None:
    require_free(wish.out, overwrite=wish.overwrite)
    if not wish.models and not wish.folders:
        raise UsageError("there is nothing to compare; name models with -n, or folders of stems with --stems")
    if twice := {model for model in wish.models if wish.models.count(model) > 1}:
        raise UsageError(f"{', '.join(sorted(twice))} is named twice; each model is one column")
    # Imported here so that help is instant: this brings torch and matplotlib. What is missing is said first.
    from unbraid.cli.interrupt import interruptible
    from unbraid.comparison.report import write_report
    from unbraid.io.formats import OutputFormat
    from unbraid.plot.spectrogram import Scale

    bitrate = wish.bitrate or (None if wish.audio == "flac" else 128)
    audio = OutputFormat(wish.audio, "16" if wish.audio == "flac" else None, bitrate)
    say = (lambda _: None) if wish.quiet else console.say
    with interruptible() as cancel, tempfile.TemporaryDirectory(prefix="unbraid-") as scratch:
        with console.display(quiet=wish.quiet) as display:
            compared = _compared(wish, Path(scratch), display, cancel)
        page = write_report(compared, wish.out, scale=Scale(wish.scale), audio=audio, say=say)
    console.out(str(page))


def _compared(wish: _Wish, scratch: Path, listener: Listener, cancel: threading.Event) -> Comparison:
    """All columns: folders are looked at first, so that what they lack is said before any work."""
    from unbraid.comparison.columns import Comparison, Part, add_column, named_folders, song_name, stems_in

    part = Part(wish.start, wish.duration)
    mixture = part.of(wish.file, song_name(wish.file))
    columns = named_folders(wish.folders, part)
    references = stems_in(Path(wish.truth), part)[1] if wish.truth else {}
    if columns or references:
        Comparison(mixture, columns, references, {})
    notes: dict[str, str] = {}
    for number, model in enumerate(wish.models):
        name, note, stems = _separated(wish, model, scratch / str(number), listener, cancel)
        add_column(columns, name, stems)
        notes[name] = note
    return Comparison(mixture, columns, references, notes)


def _separated(
    wish: _Wish, model: str, folder: Path, listener: Listener, cancel: threading.Event
) -> tuple[str, str, dict[str, Source]]:
    """A model's name, how long it took, and its stems, in floating point so that nothing is scaled."""
    from unbraid.comparison.columns import Part, stems_in
    from unbraid.io.formats import OutputFormat
    from unbraid.separator import Separator

    with Separator(
        model,
        device=wish.device,
        threads=wish.threads,
        offline=wish.offline,
        weights_folder=wish.weights_folder,
        on_event=listener,
        cancel=cancel,
    ) as separator:
        done = separator.to_files(
            wish.file,
            "{stem}.{ext}",
            out=folder,
            format=OutputFormat("wav", "32f"),
            start_seconds=wish.start,
            duration_seconds=wish.duration,
        )
        _, stems = stems_in(folder, Part())
        return separator.name, f"separated in {done.elapsed_seconds:.1f} s", stems
