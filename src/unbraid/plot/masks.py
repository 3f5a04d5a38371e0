"""Masks: what an estimate has of the mixture at each frequency and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unbraid.plot.spectrogram import FLOOR_DB, RANGE_DB, Scale, draw, paired
from unbraid.plot.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from unbraid.plot.sound import Sound
    from unbraid.plot.spectrogram import Levels

MASK_DB = 30.0


def mask(
    axes: Axes,
    mixture: Sound | Levels,
    estimate: Sound | Levels,
    *,
    scale: Scale = Scale.LOG,
    range_db: float = RANGE_DB,
    least_db: float = -MASK_DB,
) -> Axes:
    """The gain from the mixture to an estimate: dark is kept, white is taken out.

    It is what a network that masks spectrograms does, and what any other would have done. A gain above 0 dB
    (an estimate louder than the mixture, which another stem must cancel) is as dark as 0 dB.

    Args:
        axes: What to draw on.
        mixture: The recording that was separated, or its levels.
        estimate: One of its stems, of the same rate, channels and length.
        scale: How frequency goes up.
        range_db: Where the mixture is as far below its own loudest, there is nothing to keep: it is grey.
        least_db: Gain at which white begins.

    Returns:
        The axes; the gains in dB, masked where the mixture is silent, are `axes.images[-1]`.

    Raises:
        ShapeError: If rate, channels or length differ.
        AudioError: If a file cannot be read, or samples are NaN or infinite.
    """
    whole, part = paired(mixture, estimate, scale)
    silent = whole.db <= max(whole.loudest_db - range_db, FLOOR_DB)
    gains = np.ma.masked_array(part.db - whole.db, silent)
    axes.set_facecolor("#dddddd")
    return draw(axes, whole, gains, limits=(least_db, 0.0), colours=INK)
