"""Waveforms as envelopes: the least and the greatest sample of each column of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from unbraid.plot.sound import length_of, measured
from unbraid.plot.style import NEUTRAL

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from torch import Tensor

    from unbraid.plot.sound import Sound

COLUMNS = 960  # about one a pixel of a picture as wide as a page


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """Between what a recording swings, column by column of a picture.

    Args:
        least: Smallest sample of any channel, `(columns,)`.
        greatest: Greatest one.
        duration_seconds: Of the recording.
    """

    least: npt.NDArray[np.float64]
    greatest: npt.NDArray[np.float64]
    duration_seconds: float

    @property
    def peak(self) -> float:
        """The largest amplitude; 0 where there are no samples."""
        return float(max(np.abs(self.least).max(initial=0), np.abs(self.greatest).max(initial=0)))


def envelope(sound: Sound, columns: int = COLUMNS) -> Envelope:
    """Between what a recording swings, in columns of equal width; memory does not grow with its length.

    Args:
        sound: Samples, a file or a source; `(channels, time)`.
        columns: How many; a recording of fewer samples gets one for each.

    Returns:
        The envelope around all channels: left = −right has the same as each of them, silence is a line at 0,
        nothing at all has no columns.

    Raises:
        AudioError: If a file cannot be read, or samples are NaN or infinite.
    """
    source = measured(sound)
    length = length_of(source)
    columns = min(columns, length)
    least = torch.full((columns,), torch.inf, dtype=torch.float64)
    greatest = -least
    start = 0
    for block in source.read():
        at = torch.arange(start, start + block.shape[-1]) * columns // length
        least.scatter_reduce_(0, at, block.amin(0).double(), "amin")
        greatest.scatter_reduce_(0, at, block.amax(0).double(), "amax")
        start += block.shape[-1]
    return Envelope(_array(least), _array(greatest), length / source.sample_rate)


def _array(values: Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(values.numpy(), dtype=np.float64)


def waveform(
    axes: Axes, sound: Sound | Envelope, *, full: float | None = None, colour: str = NEUTRAL
) -> Axes:
    """A recording's envelope over time.

    Args:
        axes: What to draw on.
        sound: The recording, or its envelope.
        full: Amplitude at the upper edge, to be shared by pictures that are compared; None: its own peak.
        colour: Of the envelope.

    Returns:
        The axes, from 0 to the recording's duration in seconds, and from −`full` to `full`.

    Raises:
        AudioError: As `envelope` does.
    """
    drawn = sound if isinstance(sound, Envelope) else envelope(sound)
    duration, columns = drawn.duration_seconds, len(drawn.least)
    time = (np.arange(columns) + 0.5) * duration / max(1, columns)
    axes.fill_between(time, drawn.least, drawn.greatest, color=colour, linewidth=0.2)
    limit = full or drawn.peak or 1.0
    axes.set(xlim=(0, duration or 1.0), ylim=(-limit, limit), yticks=[])
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    return axes
