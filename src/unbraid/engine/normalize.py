"""Level in, level out: what a network trained on levelled tracks needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Demucs divides by the mono deviation alone, which is zero for anti-phase stereo and would then multiply the
# track by 10^8. Ordinary music has a mono deviation between 0.5 and 1 of that over all channels; a floor of
# a tenth (−20 dB) leaves every such track untouched and tames the rest.
_MONO_FLOOR = 0.1
_EPSILON = 1e-8  # added to the deviation in the published recipe


@dataclass(frozen=True, slots=True)
class Level:
    """A track's mean and deviation, taken off before the network and put back on every estimate after it.

    Args:
        mean: Of the mono downmix, in full scale.
        deviation: What the track is divided by, positive.
    """

    mean: float
    deviation: float

    def apply(self, samples: Tensor) -> Tensor:
        """Samples at the network's level; a new tensor."""
        return (samples - self.mean) / self.deviation

    def restore(self, samples: Tensor) -> Tensor:
        """Estimates at the track's level; a new tensor."""
        return samples * self.deviation + self.mean


NO_CHANGE = Level(0.0, 1.0)


class LevelMeter:
    """Measures a track's level block by block, in float64, at constant memory.

    Source:
        Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._mono_squares = 0.0  # of the mono downmix around its mean
        self._all_squares = 0.0  # of every channel around the mono mean, per channel

    def push(self, block: Tensor) -> None:
        """Take in `(channels, n)`."""
        count = block.shape[-1]
        if not count:
            return
        samples = block.double()
        mono = samples.mean(0)
        mean = mono.mean().item()
        total = self._count + count
        correction = (mean - self._mean) ** 2 * self._count * count / total
        self._mono_squares += (mono - mean).square().sum().item() + correction
        self._all_squares += (samples - mean).square().mean(0).sum().item() + correction
        self._mean += (mean - self._mean) * count / total
        self._count = total

    def level(self) -> Level:
        """The level of all that was pushed.

        Source:
            The published recipe of Demucs v2 to v4: mean and unbiased deviation of the mono downmix
            of the whole track; the floor for anti-phase stereo is ours.
        """
        freedom = max(1, self._count - 1)
        mono = math.sqrt(self._mono_squares / freedom)
        everything = math.sqrt(self._all_squares / freedom)
        return Level(self._mean, max(mono, _MONO_FLOOR * everything) + _EPSILON)
