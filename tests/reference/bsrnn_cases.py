"""BSRNNs that the published class answered for once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

N_FFT, HOP, FRAMES = 256, 64, 11


@dataclass(frozen=True)
class Case:
    """Arguments of the published class, and what differs from the others in our configuration."""

    name: str
    mono: bool = False
    config: dict[str, Any] = field(default_factory=dict)


CASES = [Case("stereo"), Case("mono", mono=True, config={"audio_channels": 1})]
# At 8 kHz and 256 samples a frame: 250 Hz a band up to 1 kHz, 500 Hz up to 3 kHz, the rest.
SPLITS = [(1000, 250), (3000, 500)]
OURS = {
    "sample_rate": 8000,
    "n_fft": N_FFT,
    "hop_length": HOP,
    "frames": FRAMES,
    "bands": (8, 8, 8, 8, 16, 16, 16, 16, 33),
    "channels": 12,
    "hidden": 10,
    "depth": 2,
    "mask_channels": 14,
}


def mixture(channels):
    """Noise `(2, C, T)` in float64, the same wherever it is made."""
    generator = torch.Generator().manual_seed(channels)
    return 0.1 * torch.randn(2, channels, HOP * (FRAMES - 1), generator=generator, dtype=torch.float64)
