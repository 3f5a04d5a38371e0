"""HPSS: tones lie along time, hits lie across it; medians along either axis tell them apart.

A tone is a horizontal line of the spectrogram, a drum hit a vertical one. The median of a few frames removes
a hit and leaves a tone; the median of a few bins does the reverse.

Paper    Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
         Driedger, Müller, Disch, "Extending harmonic-percussive separation of audio signals", ISMIR 2014:
         with a margin, what is neither clearly one nor clearly the other is a third source.
Differs  from the second paper: masks are soft, and both filters see the same spectrogram. Defaults and
         masks are those of librosa, whose answer this is.

S source · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from unbraid.networks.classical.masking import Masking, MaskingConfig, shares
from unbraid.networks.classical.median import sliding_median

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What an HPSS is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: The harmonic, the percussive and, with a margin above 1, what is neither.
        harmonic_frames: Of the median along time, odd.
        percussive_bins: Of the median along frequency, odd.
        power: Of the masks.
        margin: How many times as strong as the other one must be to be taken for itself; the factor β of
            the second paper. 1: every bin is shared out between the two.
    """

    METHOD: ClassVar[str] = "HPSS"
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "harmonic_frames": (1, 1023),
        "percussive_bins": (1, 1023),
        "power": (0.1, 100),
        "margin": (1, 100),
    }

    sources: tuple[str, ...] = ("harmonic", "percussive")
    harmonic_frames: int = 31
    percussive_bins: int = 31
    power: float = 2.0
    margin: float = 1.0

    @property
    def source_count(self) -> int:
        """How many sources there are to be named."""
        return 2 if self.margin == 1 else 3

    def contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = MaskingConfig.contradictions(self)
        if self.harmonic_frames % 2 == 0 or self.percussive_bins % 2 == 0:
            faults.append("harmonic_frames and percussive_bins must be odd")
        return faults


class Hpss(Masking):
    """Sorts tones from hits."""

    config: Config

    def masks(self, spectrum: Tensor) -> Tensor:
        """What each source takes of one mixture, `(C, F, N)` to `(S, C, F, N)`; they add up to 1."""
        config = self.config
        return median_masks(
            spectrum.abs(), config.harmonic_frames, config.percussive_bins, config.power, config.margin
        )


def median_masks(magnitude: Tensor, frames: int, bins: int, power: float, margin: float) -> Tensor:
    """Masks of the harmonic, the percussive and, with a margin above 1, of what is neither.

    Args:
        magnitude: `(..., F, N)`.
        frames: Of the median along time, odd.
        bins: Of the median along frequency, odd.
        power: Of the masks.
        margin: As of `Config`.

    Returns:
        `(2 or 3, ..., F, N)`; they add up to 1.
    """
    harmonic = sliding_median(magnitude, frames)
    percussive = sliding_median(magnitude.mT, bins).mT
    if margin == 1:
        return shares(torch.stack([harmonic, percussive]), power)
    tones = shares(torch.stack([harmonic, margin * percussive]), power, silent=0.0)[0]
    hits = shares(torch.stack([percussive, margin * harmonic]), power, silent=0.0)[0]
    return torch.stack([tones, hits, 1 - tones - hits])
