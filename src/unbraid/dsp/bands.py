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
    # Always on the CPU: where networks are laid out on the meta device, tables are still numbers.
    steps = torch.linspace(0.0, _mel(sample_rate / 2), bands + 2, dtype=torch.float64, device="cpu")
    centres = _hertz(steps)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    bins = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64, device="cpu")
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0) * 2 / (high - low)


def mel_band_edges(sample_rate: int, n_fft: int, bands: int) -> tuple[tuple[int, int], ...]:
    """Which bins each of `mel_filters` reaches; the first reaches down to 0 Hz, the last up to half the rate.

    Args:
        sample_rate: In Hz.
        n_fft: Samples of a frame.
        bands: How many.

    Returns:
        Of each band its first bin and the one behind its last. Every bin is in one band or in two
        neighbours.

    Raises:
        ConfigError: If a band is so narrow that it reaches no bin.

    Source:
        Wang, Lu, Won, "Mel-band RoFormer for music source separation", 2023, section 2.

    >>> mel_band_edges(44100, 2048, 60)[:3]
    ((0, 7), (4, 10), (7, 13))
    """
    reached = mel_filters(sample_rate, n_fft, bands) > 0
    reached[0, 0] = reached[-1, -1] = True
    empty = (~reached.any(-1)).nonzero().flatten().tolist()
    if empty:
        raise ConfigError(
            f"of {bands} mel bands, band {empty[0]} reaches no bin of frames of {n_fft} samples; "
            "fewer bands or longer frames would"
        )
    found = [row.nonzero().flatten() for row in reached]
    return tuple((int(bins[0]), int(bins[-1]) + 1) for bins in found)


def _mel(hertz: float) -> float:
    """Where a frequency stands on the scale."""
    if hertz < _KNEE_HZ:
        return hertz * _KNEE_MEL / _KNEE_HZ
    return _KNEE_MEL + _STEPS * math.log(hertz / _KNEE_HZ, _FACTOR)


def _hertz(mel: Tensor) -> Tensor:
    """Frequencies at points of the scale."""
    above = _KNEE_HZ * _FACTOR ** ((mel - _KNEE_MEL) / _STEPS)
    return torch.where(mel < _KNEE_MEL, mel * _KNEE_HZ / _KNEE_MEL, above)
