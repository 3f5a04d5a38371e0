"""Centre: what both channels have in common, by where it stands between the loudspeakers.

A lead voice is usually mixed to the middle: both channels have the same of it. In a bin let that be C, and
what else each channel has L' = L − C and R' = R − C. Take C along the sum of the channels, C = α (L + R),
and the two rests at right angles, as sounds that have nothing to do with each other are on average:

    Re (L − α (L + R)) (R − α (L + R))* = 0    ⇒    α = ½ (1 − |L − R| / |L + R|)

With L = R all is in the centre; a sound in one channel alone has no centre; one in opposite phase would have
a negative one, and has none here.

Source   Avendano, Jot, "A frequency-domain approach to multichannel upmix", JAES 52(7/8), 2004, for the idea
         of a panning mask; the equation is derived above.

C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from unbraid.networks.classical.masking import MaskingConfig, Method

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What a centre is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: The centre and the sides.
        low_hz: Below this all is left to the sides: kick drum and bass stand in the middle, too.
    """

    METHOD: ClassVar[str] = "centre"
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {"audio_channels": (2, 2), "low_hz": (0, 768_000)}

    sources: tuple[str, ...] = ("centre", "sides")
    n_fft: int = 4096
    hop_length: int = 1024
    low_hz: float = 120.0


class Centre(Method):
    """Sorts what stands in the middle from what stands at the sides."""

    config: Config

    def spectra(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and sides of one mixture `(2, F, N)`; they add up to it."""
        left, right = spectrum
        together, apart = left + right, left - right
        tiny = torch.finfo(together.real.dtype).tiny
        alpha = (1 - apart.abs() / together.abs().clamp_min(tiny)).clamp_min(0) / 2
        alpha[: self.config.bins_below(self.config.low_hz)] = 0
        centre = (alpha * together).expand_as(spectrum)
        return centre, spectrum - centre
