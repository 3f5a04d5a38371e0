"""Groups of neighbouring bins, as tables of weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from unbraid.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

# Slaney's mel scale: straight up to 1 kHz, at 15 mel; above, 27 mel are a factor of 6.4.
_KNEE_HZ = 1000.0
_KNEE_MEL = 15.0
_FACTOR = 6.4
_STEPS = 27.0


def mel_filters(sample_rate: int, n_fft: int, bands: int) -> Tensor:
    """Overlapping triangles of equal area that are equally wide to the ear, from 0 Hz to half the rate.

    Each rises from the centre of the band below and falls to the centre of the band above. Bands narrower
    than a bin may be empty.

    Args:
        sample_rate: In Hz.
        n_fft: Samples of a frame.
        bands: How many triangles.

    Returns:
        Weights `(bands, n_fft / 2 + 1)`, per Hz, in float64.

    Raises:
        ConfigError: If there are no bands.

    Source:
        Slaney, "Auditory Toolbox", Interval Research Technical Report 1998-010, 1998.

    >>> filters = mel_filters(44100, 4096, 64)
    >>> filters.shape
    torch.Size([64, 2049])
    >>> area = filters.sum(-1) * 44100 / 4096
    >>> round(area[32].item(), 2)
    1.0
    """
    if bands < 1:
        raise ConfigError(f"{bands} mel bands were asked for; at least one is needed")
    centres = _hertz(torch.linspace(0.0, _mel(sample_rate / 2), bands + 2, dtype=torch.float64))
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    bins = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0) * 2 / (high - low)


def _mel(hertz: float) -> float:
    """Where a frequency stands on the scale."""
    if hertz < _KNEE_HZ:
        return hertz * _KNEE_MEL / _KNEE_HZ
    return _KNEE_MEL + _STEPS * math.log(hertz / _KNEE_HZ, _FACTOR)


def _hertz(mel: Tensor) -> Tensor:
    """Frequencies at points of the scale."""
    above = _KNEE_HZ * _FACTOR ** ((mel - _KNEE_MEL) / _STEPS)
    return torch.where(mel < _KNEE_MEL, mel * _KNEE_HZ / _KNEE_MEL, above)
