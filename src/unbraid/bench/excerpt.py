"""A seeded excerpt of made-up music, as loud and as full as real one: the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.spec import ModelSpec

_ROOTS = (110.0, 146.83, 98.0, 130.81)  # Hz; a chord on each for two seconds
_BEAT = 0.5  # seconds
_FLOOR = 0.002  # of noise, so that no sample is digital silence


def excerpt(spec: ModelSpec, *, seed: int = 0) -> Tensor:
    """One segment for a network: chords, a beat and a noise floor.

    Args:
        spec: The network's rate, channels, segment, and whether it wants its input levelled.
        seed: Of the noise.

    Returns:
        `(1, C, T)` in float32; T is the first accepted length from a segment on.
    """
    length = spec.accepted_length(spec.segment)
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(length, dtype=torch.float64) / spec.sample_rate
    root = torch.tensor(_ROOTS, dtype=torch.float64)[(time / 2).long() % len(_ROOTS)]
    chord = torch.zeros(length, dtype=torch.float64)
    for ratio in (1.0, 1.25, 1.5, 2.0, 3.0):
        chord += 0.08 / ratio * torch.sin(2 * torch.pi * root * ratio * time)
    beat = 0.2 * torch.exp(-30 * (time % _BEAT)) * torch.randn(length, generator=generator)
    sides = torch.linspace(0.8, 1.2, spec.channels)[:, None]  # channels differ, as those of music do
    floor = _FLOOR * torch.randn(spec.channels, length, generator=generator)
    mixture = (chord * sides + beat * sides.flip(0) + floor).float()
    if spec.levelled:
        mono = mixture.mean(0)
        mixture = (mixture - mono.mean()) / mono.std()
    return mixture[None]
