"""Audio: samples that know their rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Samples that know their rate.

    Args:
        samples: `(channels, time)`, floating point, full scale ±1.
        sample_rate: In Hz.

    Raises:
        ShapeError: If the samples are not `(channels, time)` in floating point, or the rate is not positive.

    >>> import torch
    >>> Audio(torch.zeros(2, 44100), 44100).duration
    1.0
    """

    samples: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or not self.samples.is_floating_point():
            raise ShapeError(
                f"audio is {tuple(self.samples.shape)} {self.samples.dtype}; it must be "
                "(channels, time) in floating point with full scale ±1"
            )
        if self.sample_rate <= 0:
            raise ShapeError(f"a sample rate of {self.sample_rate} Hz was given; it must be positive")

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.samples.shape[0]

    @property
    def length(self) -> int:
        """How many samples each channel has."""
        return self.samples.shape[1]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.length / self.sample_rate
