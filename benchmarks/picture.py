"""The picture in README: a real song and its stems, as waveforms and spectrograms over one time axis.

    python benchmarks/picture.py FOLDER [START_SECONDS [DURATION_SECONDS]]

FOLDER holds mixture.flac; its name is the song's. Writes docs/images/stems.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

import unbraid
from unbraid.plot.spectrogram import levels, spectrogram
from unbraid.plot.style import COLOURS, PAPER_INCHES, colour, compact_png, style
from unbraid.plot.waveform import envelope, waveform

if TYPE_CHECKING:
    from unbraid.audio import Audio

TARGET = Path(__file__).parents[1] / "docs/images/stems.png"
HEIGHT_INCHES, DPI = 6.3, 160


def draw(signals: dict[str, Audio], title: str) -> Figure:
    """One pair of rows a signal, time from left to right."""
    layout = ConstrainedLayoutEngine(h_pad=0.01, w_pad=0.03, hspace=0.0)
    figure = Figure(figsize=(PAPER_INCHES, HEIGHT_INCHES), layout=layout)
    figure.suptitle(title, fontsize=9)
    rows = figure.subplots(2 * len(signals), 1, sharex=True, height_ratios=[1, 2.2] * len(signals))
    full, loudest = envelope(signals["mixture"]).peak, levels(signals["mixture"]).loudest_db
    for (name, audio), above, below in zip(signals.items(), rows[::2], rows[1::2], strict=True):
        waveform(above, audio, full=full, colour=colour(name)).tick_params(bottom=False)
        above.set_title(name, loc="left", fontsize=9, color=colour(name), weight="bold", pad=1)
        spectrogram(below, audio, top_db=loudest)
        below.tick_params(bottom=below is rows[-1])
    rows[-1].set_xlabel("time in seconds")
    figure.supylabel("frequency in Hz", fontsize=8)
    bar = figure.colorbar(rows[-1].images[-1], ax=list(rows), shrink=0.5, aspect=36, pad=0.012)
    bar.set_label("level in dB of full scale")
    bar.outline.set_linewidth(0.5)
    return figure


def main(folder: Path, start: float = 16.0, duration: float = 16.0) -> None:
    """Separate an excerpt and draw it."""
    path = folder / "mixture.flac"
    mixture = unbraid.read(path, start_seconds=start, duration_seconds=duration)
    with unbraid.Separator() as separator:
        estimates = separator.separate(mixture)
        model = separator.name
    signals = {"mixture": mixture, **{name: estimates[name] for name in COLOURS if name in estimates}}
    with style():
        figure = draw(signals, f"“{folder.name.capitalize()}”, separated by {model}")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(compact_png(figure, dpi=DPI))
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(float(argument) for argument in sys.argv[2:]))
