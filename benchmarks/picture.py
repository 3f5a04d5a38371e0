"""The picture in README: a real song and its stems, as waveforms and spectrograms over one time axis.

    python benchmarks/picture.py FOLDER [START_SECONDS [DURATION_SECONDS]]

FOLDER holds mixture.flac; its name is the song's. Writes docs/images/stems.png.
"""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

import unbraid

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from unbraid.audio import Audio

TARGET = Path(__file__).parents[1] / "docs/images/stems.png"
WIDTH_INCHES, HEIGHT_INCHES, DPI = 7.1, 6.3, 160  # the width of a page of paper less its margins
N_FFT = 8192
COLUMNS = 960  # about one a pixel
ROWS_PER_OCTAVE = 24
LOWEST_HZ, HIGHEST_HZ = 30.0, 20_000.0
RANGE_DB = 70.0
COLOURS = {
    "mixture": "#444444",
    "vocals": "#b5367a",
    "drums": "#c2571a",
    "bass": "#2a6f97",
    "other": "#4c7a34",
}
SILENCE = 1e-20
COLOUR_COUNT = 128  # of the file

# Magma, whose steps look equally large, from white on: paper stays white where nothing sounds.
INK = LinearSegmentedColormap.from_list("ink", ["white", *mpl.colormaps["magma_r"](np.linspace(0.08, 1, 24))])


def spectrogram(audio: Audio) -> npt.NDArray[np.float64]:
    """Energy in bands of equal width in octaves, in dB, `(bands, columns)`.

    A band's energy is the difference of the cumulative spectrum at its edges, interpolated between bins:
    exact where a band holds many bins, smooth where it holds less than one.
    """
    hop = max(1, audio.length // COLUMNS)
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(audio.samples, N_FFT, hop, window=window, return_complex=True)
    power = spectrum.abs().square().mean(0).double().numpy()  # (F, N)
    cumulative = np.concatenate([np.zeros((1, power.shape[1])), power.cumsum(0)])
    bins_per_hz = N_FFT / audio.sample_rate
    count = round(ROWS_PER_OCTAVE * math.log2(HIGHEST_HZ / LOWEST_HZ))
    # Half a bin more, because a bin reaches half a bin to each side.
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, count + 1) * bins_per_hz + 0.5
    at = np.stack([np.interp(edges, np.arange(len(cumulative)), column) for column in cumulative.T], 1)
    return 10 * np.log10(np.diff(at, axis=0) + SILENCE)


def draw_waveform(axes: Axes, audio: Audio, full: float, colour: str) -> None:
    """The envelope of the louder channel, on a scale that all signals share."""
    length = audio.length // COLUMNS * COLUMNS
    columns = audio.samples[:, :length].reshape(audio.channels, COLUMNS, -1)
    time = np.linspace(0, audio.duration, COLUMNS)
    least, greatest = columns.amin((0, 2)).numpy(), columns.amax((0, 2)).numpy()
    axes.fill_between(time, least, greatest, color=colour, linewidth=0)
    axes.set(xlim=(0, audio.duration), ylim=(-full, full))
    axes.set_axis_off()


def draw_spectrogram(axes: Axes, audio: Audio, loudest: float) -> AxesImage:
    """The spectrogram on a logarithmic axis of frequency, on a dB scale that all signals share."""
    levels = spectrogram(audio) - loudest
    octaves = math.log2(HIGHEST_HZ / LOWEST_HZ)
    image = axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        extent=(0, audio.duration, 0, octaves),
        cmap=INK,
        vmin=-RANGE_DB,
        vmax=0,
        interpolation="antialiased",
    )
    marks = (100, 1000, 10_000)
    axes.set_yticks([math.log2(hz / LOWEST_HZ) for hz in marks], ["100", "1k", "10k"])
    axes.tick_params(length=2, width=0.5)
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="#999999")
    return image


def draw(signals: dict[str, Audio], title: str) -> Figure:
    """One pair of rows a signal, time from left to right."""
    layout = ConstrainedLayoutEngine(h_pad=0.01, w_pad=0.03, hspace=0.0)
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, layout=layout)
    figure.suptitle(title, fontsize=9)
    rows = figure.subplots(2 * len(signals), 1, sharex=True, height_ratios=[1, 2.2] * len(signals))
    full = signals["mixture"].samples.abs().max().item()
    loudest = float(spectrogram(signals["mixture"]).max())
    for (name, audio), waveform, picture in zip(signals.items(), rows[::2], rows[1::2], strict=True):
        draw_waveform(waveform, audio, full, COLOURS[name])
        waveform.set_title(name, loc="left", fontsize=9, color=COLOURS[name], weight="bold", pad=1)
        image = draw_spectrogram(picture, audio, loudest)
    rows[-1].set_xlabel("time in seconds")
    figure.supylabel("frequency in Hz", fontsize=8)
    bar = figure.colorbar(image, ax=list(rows), shrink=0.5, aspect=36, pad=0.012)
    bar.set_label("level in dB, 0 = loudest of the mixture")
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(length=2, width=0.5)
    return figure


def save(figure: Figure, path: Path) -> None:
    """As a PNG with a palette, which is a quarter of the size and looks the same."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(raw).convert("RGB").quantize(COLOUR_COUNT, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path, start: float = 16.0, duration: float = 16.0) -> None:
    """Separate an excerpt and draw it."""
    path = folder / "mixture.flac"
    mixture = unbraid.read(path, start_seconds=start, duration_seconds=duration)
    with unbraid.Separator() as separator:
        estimates = separator.separate(mixture)
        model = separator.name
    signals = {"mixture": mixture, **{name: estimates[name] for name in COLOURS if name in estimates}}
    with mpl.rc_context({"font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7}):
        save(draw(signals, f"“{folder.name.capitalize()}”, separated by {model}"), TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(float(argument) for argument in sys.argv[2:]))
