"""REPET: what repeats with the beat is the accompaniment, what doesn't is the voice.

The spectrogram's own echo over time, the beat spectrum, tells the period. Cut into periods that are laid on
top of each other, their median is what all of them share:

    spectrogram   |‒ period ‒|‒ period ‒|‒ period ‒|‒ per …|
                        └────── median ──────┘  = background, at most the mixture

Paper    Rafii, Pardo, "REPeating Pattern Extraction Technique (REPET): a simple method for music/voice
         separation", TASLP 21(1), 2013.
Differs  the period is the strongest echo within a range, as in the author's own later code; the paper looks
         at multiples of each period, too. The window is a Hann, not a Hamming.

S source · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from unbraid.networks.classical.masking import Masking, MaskingConfig, shares
from unbraid.networks.classical.median import median

if TYPE_CHECKING:
    from torch import Tensor

_REPETITIONS = 3  # a period is looked for only where it could be heard so often


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What a REPET is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: What does not repeat, and what does.
        hop_length: Samples between the starts of two frames.
        shortest_period: Looked for, in seconds.
        longest_period: Looked for, in seconds.
        low_hz: Below this all is accompaniment: voices do not reach there.
        power: Of the masks.
    """

    METHOD: ClassVar[str] = "REPET"
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "shortest_period": (0.01, 3600),
        "longest_period": (0.01, 3600),
        "low_hz": (0, 768_000),
        "power": (0.1, 100),
    }

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    hop_length: int = 1024
    shortest_period: float = 1.0
    longest_period: float = 10.0
    low_hz: float = 100.0
    power: float = 1.0

    def contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = MaskingConfig.contradictions(self)
        if self.longest_period < self.shortest_period:
            faults.append("longest_period must be no shorter than shortest_period")
        return faults


class Repet(Masking):
    """Sorts what repeats from what doesn't."""

    config: Config

    def masks(self, spectrum: Tensor) -> Tensor:
        """What voice and accompaniment take of one mixture, `(C, F, N)` to `(2, C, F, N)`; the sum is 1."""
        magnitude = spectrum.abs()
        background = repeating(magnitude, self.period(magnitude))
        low = self.config.bins_below(self.config.low_hz)
        return voice_masks(magnitude, background, self.config.power, low)

    def period(self, magnitude: Tensor) -> int:
        """The period of the strongest echo, in frames; all frames where no period fits three times."""
        config, frames = self.config, magnitude.shape[-1]
        shortest = config.frames(config.shortest_period)
        longest = min(config.frames(config.longest_period), frames // _REPETITIONS)
        if longest < shortest:
            return frames
        echo = beat_spectrum(magnitude)
        return shortest + int(echo[shortest : longest + 1].argmax())


def beat_spectrum(magnitude: Tensor) -> Tensor:
    """How like itself the energy of each bin is some frames later, on the mean over channels and bins.

    Args:
        magnitude: `(C, F, N)`.

    Returns:
        By the distance in frames, `(N,)`.
    """
    power = magnitude.mean(0).square()
    frames = power.shape[-1]
    # Twice as long, so that the end does not meet the start.
    swings = torch.fft.rfft(power, 2 * frames).abs().square().mean(0)
    pairs = torch.arange(frames, 0, -1, device=power.device)
    echo: Tensor = torch.fft.irfft(swings, 2 * frames)[:frames] / pairs
    return echo


def repeating(magnitude: Tensor, period: int) -> Tensor:
    """What all periods share: their median, and nowhere more than there is.

    Args:
        magnitude: `(C, F, N)`.
        period: In frames, at least 1.

    Returns:
        Same shape.
    """
    frames = magnitude.shape[-1]
    segments = torch.split(magnitude, period, -1)
    last = segments[-1].shape[-1]
    # The last one may be shorter: behind its end there is one period less to compare.
    begin = median([segment[..., :last] for segment in segments])
    end = [median([segment[..., last:] for segment in segments[:-1]])] if last < period else []
    model = torch.cat([begin, *end], -1).repeat(1, 1, len(segments))[..., :frames]
    return torch.minimum(model, magnitude)


def voice_masks(magnitude: Tensor, background: Tensor, power: float, low: int) -> Tensor:
    """Masks of what exceeds the background, and of the background; they add up to 1.

    Args:
        magnitude: `(C, F, N)`.
        background: Same shape, at most the magnitude.
        power: Of the masks.
        low: So many of the lowest bins are background as a whole.

    Returns:
        `(2, C, F, N)`.
    """
    masks = shares(torch.stack([magnitude - background, background]), power)
    masks[0, :, :low], masks[1, :, :low] = 0, 1
    return masks
