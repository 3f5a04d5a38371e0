"""The pictures of docs/how-networks-sound.md, drawn by sounds.py from what methods make of one excerpt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from picture import TARGET
from unbraid.dsp.stft import Stft
from unbraid.plot.spectrogram import RANGE_DB
from unbraid.plot.style import INK, LINES, PAPER_INCHES, compact_png, style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from torch import Tensor

    Picture: TypeAlias = npt.NDArray[np.float64]  # bins, frames

RATE = 44100
SILENCE = 1e-20  # energy
N_FFT, HOP = 2048, 512
# Of the excerpt, what is shown.
HIGHS_SECONDS, BRANCHES_SECONDS, GAINS_SECONDS = (8.0, 15.0), (0.0, 4.0), (8.0, 10.5)
GAINS_KHZ, GAIN_RANGE_DB = 5.0, 30.0
ATTACK_SECONDS = (0.06, 0.03)  # shown before and after
EDGES_KHZ = (11.025, 16.0)
DASHES = (0, (4, 3))
ROW_INCHES, DPI = 1.05, 120


def draw(
    mixture: Tensor,
    stems: Mapping[str, Tensor],
    estimates: Mapping[str, Mapping[str, Tensor]],
    hit: int,
) -> list[Path]:
    """All pictures, written.

    Args:
        mixture: `(C, T)`.
        stems: True ones by name.
        estimates: By source, then by method.
        hit: Sample at which a hit begins.
    """
    vocals = {"true vocals": stems["vocals"], **estimates["vocals"]}
    drums = {"true drums": stems["drums"], **estimates["drums"]}
    with style():
        figures = {
            "highs": spectrograms(vocals, ("true vocals", "Spleeter", "HT Demucs", "centre"), HIGHS_SECONDS),
            "branches": spectrograms(
                drums,
                ("true drums", "its spectrogram branch alone", "its waveform branch alone", "HT Demucs"),
                BRANCHES_SECONDS,
            ),
            "masks": gains(
                vocals, mixture, ("true vocals", "ideal binary mask", "ideal ratio mask", "HT Demucs")
            ),
            "attack": attack(
                drums, ("ideal ratio mask", "ideal ratio mask, frames of 12 ms", "HT Demucs"), hit
            ),
        }
        return [_saved(name, figure) for name, figure in figures.items()]


def _saved(name: str, figure: Figure) -> Path:
    path = TARGET.with_name(f"sounds-{name}.png")
    path.write_bytes(compact_png(figure, dpi=DPI))
    return path


def spectrograms(signals: Mapping[str, Tensor], names: Sequence[str], seconds: tuple[float, float]) -> Figure:
    """One row a signal, on an even axis of frequency; dashed lines where narrow networks stop."""
    levels = {name: _levels(signals[name]) for name in names}
    loudest = max(float(level.max()) for level in levels.values())
    figure, rows = _rows(len(names))
    for (name, level), axes in zip(levels.items(), rows, strict=True):
        image = _image(axes, name, level - loudest, RANGE_DB)
        axes.set_xlim(*seconds)
        for edge in EDGES_KHZ:
            axes.axhline(edge, color="#777777", linewidth=0.5, linestyle=DASHES)
    _finished(figure, rows, image, "level in dB")
    return figure


def gains(signals: Mapping[str, Tensor], mixture: Tensor, names: Sequence[str]) -> Figure:
    """One row a signal: what it has of the mixture in each bin and frame; white is nothing."""
    heard = _levels(mixture)
    figure, rows = _rows(len(names))
    for name, axes in zip(names, rows, strict=True):
        image = _image(axes, name, _levels(signals[name]) - heard, GAIN_RANGE_DB)
        axes.set_xlim(*GAINS_SECONDS)
        axes.set_ylim(0, GAINS_KHZ)
    _finished(figure, rows, image, "gain in dB")
    return figure


def _image(axes: Axes, name: str, values: Picture, lowest_db: float) -> AxesImage:
    """A time-frequency picture below its name."""
    axes.set_title(name, loc="left", fontsize=8, weight="bold", pad=2)
    axes.tick_params(length=2, width=0.5)
    return axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        extent=(0, values.shape[1] * HOP / RATE, 0, RATE / 2000),
        cmap=INK,
        vmin=-lowest_db,
        vmax=0,
        interpolation="nearest",
    )


def _levels(samples: Tensor) -> Picture:
    """Energy of bins and frames in dB."""
    power = Stft(N_FFT, HOP)(samples).abs().square().mean(0).double().numpy()
    return np.asarray(10 * np.log10(power + SILENCE))


def _rows(count: int) -> tuple[Figure, list[Axes]]:
    layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.03, hspace=0.0)
    figure = Figure(figsize=(PAPER_INCHES, ROW_INCHES * count + 0.4), layout=layout)
    return figure, list(figure.subplots(count, 1, sharex=True))


def _finished(figure: Figure, rows: Sequence[Axes], image: AxesImage, label: str) -> None:
    """Axes and colours, named."""
    rows[-1].set_xlabel("time in seconds")
    figure.supylabel("frequency in kHz", fontsize=8)
    bar = figure.colorbar(image, ax=list(rows), shrink=0.6, aspect=30, pad=0.012)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)


def attack(signals: Mapping[str, Tensor], names: Sequence[str], hit: int) -> Figure:
    """How loud methods are just before and after a hit, beside the true stem."""
    layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.03)
    figure = Figure(figsize=(PAPER_INCHES, 2.6), layout=layout)
    axes = figure.subplots()
    before, after = (round(second * RATE) for second in ATTACK_SECONDS)
    time = 1000 * np.arange(-before, after) / RATE
    loudest = _envelope(signals["true drums"], hit - before, hit + after).max()
    shown = {"true drums": ("#222222", "-"), **dict(zip(names, LINES, strict=False))}
    for name, (colour, dashes) in shown.items():
        level = _envelope(signals[name], hit - before, hit + after) - loudest
        axes.plot(time, level, color=colour, linestyle=dashes, linewidth=0.9, label=name)
    axes.set(xlim=(time[0], time[-1]), ylim=(-RANGE_DB, 3), ylabel="level in dB")
    axes.set_xlabel("time in milliseconds, 0 where the hit begins")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _envelope(samples: Tensor, start: int, end: int) -> npt.NDArray[np.float64]:
    """Energy of the last millisecond at each sample, in dB: nothing of a hit is seen before it begins."""
    count = RATE // 1000
    power = samples[:, start - count + 1 : end].double().square().mean(0)
    return np.asarray(10 * np.log10(power.unfold(-1, count, 1).mean(-1).numpy() + SILENCE))
