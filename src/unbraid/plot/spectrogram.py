"""Spectrograms on one scale of level for all that is compared, over an even, a logarithmic or a mel axis.

Levels are in dB of full scale: a sine of amplitude 1 has 0 dB, summed over the rows that its peak covers. The
energy of a row is the difference of the cumulative spectrum at its edges, interpolated between bins: exact
where a row holds many bins, smooth where it holds less than one. A column's is the mean over its frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import torch

from unbraid.errors import ShapeError
from unbraid.plot.sound import in_blocks, length_of, measured, mixed, require_alike
from unbraid.plot.style import INK, quiet_frame
from unbraid.plot.waveform import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from torch import Tensor

    from unbraid.io.source import Source
    from unbraid.plot.sound import Sound

RANGE_DB = 70.0
DIFFERENCE_DB = 20.0
LOWEST_HZ, HIGHEST_HZ = 30.0, 20_000.0
ROWS_PER_OCTAVE = 24
ROWS = 256  # of the even and the mel axis
FLOOR_DB = -200.0  # of silence


class Scale(str, Enum):
    """How frequency goes up the axis."""

    LOG = "log"  # equal steps for equal intervals, 30 Hz to 20 kHz
    LINEAR = "linear"  # equal steps for equal differences: shows where a network's band ends
    MEL = "mel"  # equal steps sound equally far apart


# How much is heard for one column: long frames resolve low notes, short ones show hits.
_FRAME_SECONDS = {Scale.LOG: 8192 / 44100, Scale.LINEAR: 2048 / 44100, Scale.MEL: 4096 / 44100}
_MARKS_HZ = {
    Scale.LOG: (100, 1000, 10_000),
    Scale.LINEAR: tuple(range(0, 100_000, 5000)),
    Scale.MEL: (0, 500, 1000, 2000, 4000, 8000, 16_000),
}


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """What a recording holds at each frequency and time.

    Args:
        db: Levels in dB of full scale, `(rows, columns)`, lowest frequency first.
        edges_hz: Of the rows, `(rows + 1,)`.
        duration_seconds: Of the recording.
        scale: Of the frequencies.
    """

    db: npt.NDArray[np.float64]
    edges_hz: npt.NDArray[np.float64]
    duration_seconds: float
    scale: Scale

    @property
    def loudest_db(self) -> float:
        """The highest level; −200 dB in silence."""
        return float(self.db.max(initial=FLOOR_DB))


def edges_hz(scale: Scale, sample_rate: int) -> npt.NDArray[np.float64]:
    """Where the rows of a spectrogram begin and end.

    Args:
        scale: How frequency goes up.
        sample_rate: Of the recording, in Hz.

    Returns:
        Frequencies in Hz, `(rows + 1,)`, up to half the rate, or 20 kHz on the logarithmic axis.

    Source: the mel scale is O'Shaughnessy's, "Speech Communication", 1987: 2595 log10(1 + f / 700).
    """
    nyquist = sample_rate / 2
    if scale is Scale.LINEAR:
        return np.linspace(0, nyquist, ROWS + 1)
    if scale is Scale.MEL:
        return np.asarray(
            700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + nyquist / 700), ROWS + 1) / 2595) - 1)
        )
    highest = min(HIGHEST_HZ, nyquist)
    lowest = min(LOWEST_HZ, highest / 2)
    return np.geomspace(lowest, highest, max(1, round(ROWS_PER_OCTAVE * math.log2(highest / lowest))) + 1)


def levels(sound: Sound, *, scale: Scale = Scale.LOG, columns: int = COLUMNS) -> Levels:
    """The spectrogram of a recording; memory does not grow with its length.

    Args:
        sound: Samples, a file or a source; `(channels, time)`. Channels are averaged in energy, so left =
            −right is as loud as left = right.
        scale: How frequency goes up.
        columns: How many at most; a very short recording has fewer.

    Returns:
        Levels in dB of full scale; −200 dB in silence.

    Raises:
        AudioError: If a file cannot be read, or samples are NaN or infinite.
    """
    source = measured(sound)
    length, rate = length_of(source), source.sample_rate
    n_fft = max(16, 2 ** round(math.log2(_FRAME_SECONDS[scale] * rate)))
    hop = min(max(1, length // columns), n_fft // 2)
    frames = length // hop + 1
    columns = min(columns, frames)
    total = torch.zeros(n_fft // 2 + 1, columns, dtype=torch.float64)
    counts = torch.zeros(columns, dtype=torch.float64)
    start = 0
    for power in _powers(source, n_fft, hop):
        at = torch.arange(start, start + power.shape[-1]) * columns // frames
        total.index_add_(1, at, power)
        counts.index_add_(0, at, torch.ones(len(at), dtype=torch.float64))
        start += power.shape[-1]
    edges = edges_hz(scale, rate)
    energy = _in_rows((total / counts).numpy(), edges * n_fft / rate)
    return Levels(10 * np.log10(energy + 10 ** (FLOOR_DB / 10)), edges, length / rate, scale)


def _powers(source: Source, n_fft: int, hop: int) -> Iterator[Tensor]:
    """Energies of centred frames, `(bins, n)`, some at a time; zeros stand beyond both ends."""
    window = torch.hann_window(n_fft, dtype=torch.float64)
    scale = 4 / (n_fft * window.square().sum())  # Parseval: the bins of a full-scale sine then sum to 1
    edge = torch.zeros(len(source.layout), n_fft // 2, dtype=torch.float64)

    def padded() -> Iterator[Tensor]:
        yield edge
        for block in source.read():
            yield block.double()
        yield edge

    kept = edge[:, :0]
    for block in in_blocks(padded(), max(n_fft, 16 * hop)):
        kept = torch.cat([kept, block], -1)
        if kept.shape[-1] >= n_fft:
            frames = kept.unfold(-1, n_fft, hop)  # (C, n, n_fft)
            kept = kept[:, frames.shape[1] * hop :]
            spectra = torch.view_as_real(torch.fft.rfft(frames * window))  # (C, n, bins, 2)
            yield scale * spectra.square_().sum(-1).mean(0).T


def _in_rows(power: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Energies `(bins, columns)` between edges that are given in bins: `(rows, columns)`."""
    cumulative = np.concatenate([np.zeros((1, power.shape[1])), power.cumsum(0)])
    # Half a bin more, because a bin reaches half a bin to each side.
    at = [np.interp(edges + 0.5, np.arange(len(cumulative)), column) for column in cumulative.T]
    return np.maximum(np.diff(np.stack(at, 1), axis=0), 0.0)


def spectrogram(
    axes: Axes,
    sound: Sound | Levels,
    *,
    scale: Scale = Scale.LOG,
    top_db: float | None = None,
    range_db: float = RANGE_DB,
) -> Axes:
    """A recording's levels by time and frequency.

    Args:
        axes: What to draw on.
        sound: The recording, or its levels, whose own scale then counts.
        scale: How frequency goes up.
        top_db: Level of the darkest colour in dB of full scale, to be shared by pictures that are compared;
            None: the recording's loudest.
        range_db: How far below it white begins.

    Returns:
        The axes; the picture is `axes.images[-1]`.

    Raises:
        AudioError: As `levels` does.
    """
    drawn = sound if isinstance(sound, Levels) else levels(sound, scale=scale)
    top = drawn.loudest_db if top_db is None else top_db
    return draw(axes, drawn, drawn.db, limits=(top - range_db, top), colours=INK)


def difference(
    axes: Axes,
    reference: Sound | Levels,
    estimate: Sound | Levels,
    *,
    scale: Scale = Scale.LOG,
    top_db: float | None = None,
    range_db: float = RANGE_DB,
    limit_db: float = DIFFERENCE_DB,
) -> Axes:
    """Where an estimate has more than the reference (red: what bled in) and where less (blue: what is lost).

    Levels alone are compared: an estimate of the wrong sign or phase has no difference. What the ear would
    hear as the error is in the spectrogram of `mixed([reference, estimate], [1, -1])`.

    Args:
        axes: What to draw on.
        reference: True source, or its levels.
        estimate: Separated source, of the same rate, channels and length.
        scale: How frequency goes up.
        top_db: As in `spectrogram`, of the reference.
        range_db: What lies lower counts as silence, in both.
        limit_db: Difference of the strongest colours.

    Returns:
        The axes; the picture, estimate minus reference in dB, is `axes.images[-1]`.

    Raises:
        ShapeError: If rate, channels or length differ.
        AudioError: As `levels` does.
    """
    true, found = paired(reference, estimate, scale)
    top = true.loudest_db if top_db is None else top_db
    floor = top - range_db
    db = np.maximum(found.db, floor) - np.maximum(true.db, floor)
    return draw(axes, true, db, limits=(-limit_db, limit_db), colours="RdBu_r")


def residual(
    axes: Axes,
    mixture: Sound,
    estimates: Sequence[Sound],
    *,
    scale: Scale = Scale.LOG,
    top_db: float | None = None,
    range_db: float = RANGE_DB,
) -> Axes:
    """The spectrogram of what estimates leave of the mixture; with one true source as mixture, of the error.

    Args:
        axes: What to draw on.
        mixture: The recording that was separated, or the reference.
        estimates: What is subtracted.
        scale: As in `spectrogram`, like the rest.
        top_db: None: the loudest of the mixture, against which a residual is small.
        range_db: How far below it white begins.

    Returns:
        The axes.

    Raises:
        ShapeError: If rate, channels or length differ.
        AudioError: As `levels` does.
    """
    left = mixed([mixture, *estimates], [1.0, *(-1.0 for _ in estimates)])
    top = levels(mixture, scale=scale).loudest_db if top_db is None else top_db
    return spectrogram(axes, left, scale=scale, top_db=top, range_db=range_db)


def paired(first: Sound | Levels, second: Sound | Levels, scale: Scale) -> tuple[Levels, Levels]:
    """The levels of two recordings that belong to each other.

    Raises:
        ShapeError: If rate, channels or length differ.
    """
    if not isinstance(first, Levels) and not isinstance(second, Levels):
        sources = measured(first), measured(second)
        require_alike(sources)
        return levels(sources[0], scale=scale), levels(sources[1], scale=scale)
    one = first if isinstance(first, Levels) else levels(first, scale=scale)
    two = second if isinstance(second, Levels) else levels(second, scale=scale)
    if one.db.shape != two.db.shape or not np.array_equal(one.edges_hz, two.edges_hz):
        raise ShapeError(
            f"levels are {one.db.shape} and {two.db.shape}, or of other frequencies; only spectrograms of "
            "the same rate, length and scale can be compared"
        )
    return one, two


def draw(
    axes: Axes,
    shown: Levels,
    values: npt.NDArray[np.float64],
    *,
    limits: tuple[float, float],
    colours: object,
) -> Axes:
    """Values in the rows and columns of a spectrogram, over its axes of time and frequency.

    Args:
        axes: What to draw on.
        shown: Whose rows and columns they are.
        values: `(rows, columns)`.
        limits: Values of the first and the last colour.
        colours: A colour map or its name.
    """
    rows = len(shown.edges_hz) - 1
    axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        extent=(0, shown.duration_seconds or 1.0, 0, rows),
        cmap=colours,  # type: ignore[arg-type]  # matplotlib's own union, spelt out nowhere
        vmin=limits[0],
        vmax=limits[1],
        interpolation="antialiased",
        interpolation_stage="data",
    )
    marks = [hz for hz in _MARKS_HZ[shown.scale] if shown.edges_hz[0] <= hz <= shown.edges_hz[-1]]
    places = np.interp(marks, shown.edges_hz, np.arange(rows + 1))
    axes.set_yticks(places.tolist(), [hertz(mark) for mark in marks])
    return quiet_frame(axes)


def hertz(frequency: float) -> str:
    """A frequency as an axis shows it.

    >>> hertz(500), hertz(16000)
    ('500', '16k')
    """
    return f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency:g}"
