"""REPET-SIM: each frame is held against those most like it; what they share is accompaniment.

Needs no steady beat: a chord that comes back any time later is a repetition.

Paper    Rafii, Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012.
Differs  frames nearer than a distance to the frame itself are left out, as in librosa's filter over nearest
         neighbours; the paper thins the neighbours out among themselves, too.

S source · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from unbraid.networks.classical.masking import Masking, MaskingConfig
from unbraid.networks.classical.median import median
from unbraid.networks.classical.repet import voice_masks

if TYPE_CHECKING:
    from torch import Tensor

_TOGETHER = 64  # frames compared at once: their neighbours stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What a REPET-SIM is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: What does not come back, and what does.
        hop_length: Samples between the starts of two frames.
        neighbours: Most similar frames that a frame is compared with, at most.
        distance: Seconds from a frame to the nearest that it may be compared with.
        low_hz: Below this all is accompaniment: voices do not reach there.
        power: Of the masks.
    """

    METHOD: ClassVar[str] = "REPET-SIM"
    LONGEST_SECONDS: ClassVar[int] = 600  # time grows with the square of the length
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "neighbours": (1, 4096),
        "distance": (0, 3600),
        "low_hz": (0, 768_000),
        "power": (0.1, 100),
    }

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    hop_length: int = 1024
    neighbours: int = 50
    distance: float = 1.0
    low_hz: float = 100.0
    power: float = 1.0


class RepetSim(Masking):
    """Sorts what comes back from what doesn't."""

    config: Config

    def masks(self, spectrum: Tensor) -> Tensor:
        """What voice and accompaniment take of one mixture, `(C, F, N)` to `(2, C, F, N)`; the sum is 1."""
        config = self.config
        magnitude = spectrum.abs()
        background = recurring(magnitude, config.neighbours, config.frames(config.distance))
        return voice_masks(magnitude, background, config.power, config.bins_below(config.low_hz))


def recurring(magnitude: Tensor, neighbours: int, distance: int) -> Tensor:
    """What a frame shares with those most like it: their median, and nowhere more than there is.

    Args:
        magnitude: `(C, F, N)`; frames are alike by the angle between their means over channels.
        neighbours: Frames that one is compared with; fewer where there are no more.
        distance: From a frame to the nearest of them, in frames, at least 1.

    Returns:
        Same shape; a frame without neighbours is its own background.
    """
    count = magnitude.shape[-1]
    far = count - 2 * distance + 1  # that a frame in the middle has: others have more
    neighbours = min(neighbours, max(far, 0))
    if not neighbours:
        return magnitude
    frames = magnitude.movedim(-1, 0).contiguous()  # (N, C, F)
    directions = F.normalize(frames.mean(1), dim=-1)
    place = torch.arange(count, device=frames.device)
    shared = []
    for here in torch.split(place, _TOGETHER):
        likeness = directions[here] @ directions.mT
        likeness[(here[:, None] - place).abs() < distance] = -torch.inf
        nearest = likeness.topk(neighbours, sorted=False).indices
        shared.append(median([frames[column] for column in nearest.unbind(-1)]))
    return torch.minimum(torch.cat(shared).movedim(0, -1), magnitude)
