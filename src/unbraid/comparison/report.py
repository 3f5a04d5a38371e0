"""The report: one HTML file that holds pictures, scores and players, opens from disk and fetches nothing."""

from __future__ import annotations

import base64
import tempfile
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from unbraid._version import __version__
from unbraid.comparison import tables
from unbraid.comparison.markup import NOTHING, section, stem_head
from unbraid.comparison.numbers import courses
from unbraid.io.disk import Draft
from unbraid.io.formats import OutputFormat
from unbraid.io.write import Writer
from unbraid.plot import grids
from unbraid.plot.sound import length_of
from unbraid.plot.spectrogram import Scale, levels
from unbraid.plot.style import compact_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.figure import Figure

    from unbraid.comparison.columns import Comparison
    from unbraid.io.source import Source
    from unbraid.plot.scores import Course

AUDIO = {"opus": "audio/ogg; codecs=opus", "mp3": "audio/mpeg", "flac": "audio/flac"}
DEFAULT_AUDIO = OutputFormat("opus", bitrate_kbps=128)


def write_report(
    comparison: Comparison,
    path: str | Path,
    *,
    scale: Scale = Scale.LOG,
    audio: OutputFormat = DEFAULT_AUDIO,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """A comparison as one HTML file that needs no server and no network.

    Args:
        comparison: What is compared.
        path: Where the file shall be; a file that is there is replaced when the new one is whole.
        scale: How frequency goes up in the spectrograms.
        audio: What the players hold: opus, mp3 (for Safari before 18.4), or flac.
        say: Told what is being made.

    Returns:
        The path.

    Raises:
        AudioError: If a recording cannot be read.
        UsageError: If the audio format is none that browsers play, or cannot hold the recording.
        MachineError: If the file cannot be written.
    """
    path = Path(path)
    before, after = _page(comparison)
    draft = Draft(path)
    try:
        for piece in (before, *_content(comparison, scale, audio, say), after):
            draft.write(piece.encode())
            draft.check()
        draft.place()
    except BaseException:
        draft.discard()
        raise
    return path


def _page(comparison: Comparison) -> list[str]:
    """What stands before the content, and what behind it."""
    mixture = comparison.mixture
    facts = [
        f"{_seconds(mixture):.1f} s",
        f"{len(mixture.layout)} channels at {mixture.sample_rate} Hz",
        *(f"{name}: {note}" for name, note in comparison.notes.items()),
    ]
    values = {
        "title": escape(mixture.name),
        "facts": escape(" · ".join(facts)),
        "style": _text("page.css"),
        "script": _text("page.js"),
        "footer": escape(f"Made by Unbraid {__version__}. Everything is in this file; nothing is fetched."),
    }
    return [Template(part).substitute(values) for part in _text("page.html").split("$content")]


def _text(name: str) -> str:
    return (files("unbraid.comparison") / name).read_text(encoding="utf-8")


def _seconds(source: Source) -> float:
    return length_of(source) / source.sample_rate


def _content(
    given: Comparison, scale: Scale, audio: OutputFormat, say: Callable[[str], None]
) -> Iterator[str]:
    """The sections, one after the other, so that memory holds one player or picture at a time."""
    completed = given.completed()
    say("encoding players")
    yield from _players(completed, audio)
    say("scoring")
    found = courses(completed)
    if found:
        yield tables.scores(list(completed.columns), found)
        yield tables.bsseval(given, completed.references)
    yield tables.signs(given)
    say("drawing")
    for heading, words, figure in _figures(completed, found, scale):
        yield _picture(heading, words, figure)


def _players(comparison: Comparison, audio: OutputFormat) -> Iterator[str]:
    """The section to listen in, one player after the other."""
    columns, mixture = comparison.shown, comparison.mixture
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    transport = Template(_text("transport.html")).substitute(seconds=f"{_seconds(mixture):.3f}")
    yield (
        f'<section>\n<h2>Listen</h2>\n{transport}<div class="scroll"><table class="players">'
        f'<thead><tr><th scope="col">stem</th>{heads}</tr></thead>\n<tbody>\n'
    )
    yield f'<tr>{stem_head("mixture")}<td colspan="{len(columns)}">'
    yield f"{_player(mixture, 'the mixture', audio)}</td></tr>\n"
    for stem in grids.stems_of(columns):
        yield f"<tr>{stem_head(stem)}"
        for name, column in columns.items():
            cell = _player(column[stem], f"{stem}, {name}", audio) if stem in column else NOTHING
            yield f"<td>{cell}</td>"
        yield "</tr>\n"
    yield "</tbody></table></div></section>\n"


def _player(source: Source, name: str, audio: OutputFormat) -> str:
    data = base64.b64encode(encoded(source, audio)).decode()
    source_address = f"data:{AUDIO[audio.name]};base64,{data}"
    return f'<audio controls preload="none" aria-label="{escape(name)}" src="{source_address}"></audio>'


def encoded(source: Source, audio: OutputFormat) -> bytes:
    """A recording as the bytes of an audio file.

    Args:
        source: The recording, of known length.
        audio: Format of the file.

    Raises:
        UsageError: If the format cannot hold such a recording.
        AudioError: If it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="unbraid-") as folder:
        path = Path(folder, f"stem{audio.suffix}")
        with Writer(
            path,
            audio,
            sample_rate=source.sample_rate,
            channels=len(source.layout),
            layout=source.layout,
            length=length_of(source),
            tags={},
            cover=None,
        ) as writer:
            for block in source.read():
                writer.write(block.float())
        return path.read_bytes()


def _figures(
    comparison: Comparison, found: Mapping[str, Mapping[str, Course]], scale: Scale
) -> Iterator[tuple[str, str, Figure]]:
    """Each picture's heading, what it shows, and the picture."""
    references, columns, shown = comparison.references, comparison.columns, comparison.shown
    # Three pictures show the same levels, which are computed once.
    drawn = grids.each(shown, lambda sound: levels(sound, scale=scale))
    estimates = {name: drawn[name] for name in columns}
    of = f"stems ({', '.join(grids.stems_of(shown))}) of {', '.join(shown)}"
    axis = f"{scale.value} axis of frequency"
    if found:
        words = "SDR of each second under the waveform of the true stem; gaps where it is silent."
        yield "SDR over time", words, grids.scores(references, found)
    words = f"Spectrograms of the {of}, all on one scale of level; {axis}."
    yield "Spectrograms", words, grids.spectrograms(drawn)
    if found:
        words = f"True stem minus estimate, on the scale of the true stems: the less ink, the better; {axis}."
        yield "Errors", words, grids.errors(references, columns, scale=scale)
        words = "Red: the estimate has more than the true stem. Blue: it has less. Levels only, not phases."
        yield "Too much, too little", words, grids.differences(drawn["true"], estimates, scale=scale)
    words = "What each stem keeps of the mixture: dark is kept, white is taken out, grey is silence."
    yield "Masks", words, grids.masks(levels(comparison.mixture, scale=scale), drawn, scale=scale)
    yield "Waveforms", f"Waveforms of the {of}, on one scale of amplitude.", grids.waveforms(shown)


def _picture(heading: str, words: str, figure: Figure) -> str:
    data = base64.b64encode(compact_png(figure)).decode()
    image = f'<img alt="{escape(f"{heading}: {words}")}" src="data:image/png;base64,{data}">'
    return section(heading, words, f"<figure>{image}</figure>\n")
