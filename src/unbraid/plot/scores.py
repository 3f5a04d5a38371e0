"""Scores over time: where in the song a model is good, and where not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from unbraid.metrics.ratios import sdr
from unbraid.plot.sound import in_blocks, length_of, measured, require_alike
from unbraid.plot.style import LINES, quiet_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from unbraid.plot.sound import Sound

SILENCE_DB = -70.0  # mean energy of a frame that is called silent, in dB of full scale


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The SDR of an estimate from frame to frame, and of the whole.

    Args:
        sdr_db: Of each frame, `(frames,)`; NaN where the reference is silent.
        whole_db: Of all samples at once, as the MDX challenges count: silent frames too.
        window_seconds: Length of a frame; the last may be shorter.
        duration_seconds: Of the recording.
    """

    sdr_db: npt.NDArray[np.float64]
    whole_db: float
    window_seconds: float
    duration_seconds: float

    @property
    def median_db(self) -> float:
        """The median over the frames in which the reference sounds; NaN where it never does."""
        heard = self.sdr_db[~np.isnan(self.sdr_db)]
        return float(np.median(heard)) if len(heard) else float("nan")


def course(reference: Sound, estimate: Sound, *, window_seconds: float = 1.0) -> Course:
    """The SDR of an estimate frame by frame; memory does not grow with the song.

    Each frame is scored as the MDX challenges score a track: `metrics.ratios.sdr` over its samples. It is not
    BSSEval's framewise SDR, which forgives filtering.

    Args:
        reference: True source, `(channels, time)`.
        estimate: Separated source, of the same rate, channels and length.
        window_seconds: Length of a frame.

    Returns:
        The course. A frame whose reference has less than −70 dB of full scale, averaged over samples and
        channels, is silent: NaN. Left = −right is not silent.

    Raises:
        ShapeError: If rate, channels or length differ.
        AudioError: If a file cannot be read, or samples are NaN or infinite.
    """
    true, found = measured(reference), measured(estimate)
    require_alike([true, found])
    size = max(1, round(window_seconds * true.sample_rate))
    scores: list[float] = []
    energies = torch.zeros(2, dtype=torch.float64)
    for signal, guess in zip(in_blocks(true.read(), size), in_blocks(found.read(), size), strict=True):
        exact = signal.double()
        silent = exact.square().mean() < 10 ** (SILENCE_DB / 10)
        scores.append(float("nan") if silent else sdr(exact, guess).item())
        energies += torch.stack([exact.square().sum(), (exact - guess.double()).square().sum()])
    # Two signals of one sample with these energies have this SDR, its small constant included.
    signal, error = energies.sqrt()
    whole = sdr(signal.view(1, 1), (signal - error).view(1, 1)).item()
    return Course(np.array(scores), whole, window_seconds, length_of(true) / true.sample_rate)


def sdr_over_time(axes: Axes, courses: Mapping[str, Course]) -> Axes:
    """A line of SDR over time for each model, broken where the reference is silent.

    Args:
        axes: What to draw on.
        courses: By the model's name.

    Returns:
        The axes: one line a model, with its SDR over the whole in the legend.
    """
    for number, (name, found) in enumerate(courses.items()):
        tint, dashes = LINES[number % len(LINES)]
        edges = np.minimum(np.arange(len(found.sdr_db) + 1) * found.window_seconds, found.duration_seconds)
        label = f"{name}: {found.whole_db:.1f} dB"
        axes.stairs(
            found.sdr_db, edges, baseline=None, color=tint, linestyle=dashes, linewidth=1, label=label
        )
        axes.set_xlim(0, found.duration_seconds or 1.0)
    axes.axhline(0, color="#999999", linewidth=0.5, zorder=0)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    axes.set_axisbelow(True)  # else the grid lies over steps that run along it
    axes.set_ylabel("SDR in dB")
    if courses:
        axes.legend(
            loc="best", framealpha=0.8, edgecolor="none", ncols=min(3, len(courses)), handlelength=2.5
        )
    return quiet_frame(axes)
