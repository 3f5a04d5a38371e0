"""A learned vector for each frequency, which lets a convolution over frequency know where it is.

Source: Isik et al., "PoCoNet", Interspeech 2020; made smooth as in Défossez, "Hybrid spectrogram and
waveform source separation", 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_BOOST = 10.0  # stored weights are this much smaller than used: they learn that much faster


class FrequencyEmbedding(nn.Module):
    """Adds a learned vector to each frequency bin.

    Neighbouring bins begin alike: the first weights are a random walk over frequency, each step scaled
    back to unit deviation.

    Args:
        bins: How many frequencies.
        channels: Size of a vector.
        weight: Gain of the embedding.
    """

    def __init__(self, bins: int, channels: int, weight: float) -> None:
        super().__init__()
        self.gain = weight * _BOOST
        # Always on the CPU: arithmetic on the meta device makes torch import a second's worth of tracing.
        steps = torch.arange(1, bins + 1, device="cpu")
        walk = torch.randn(bins, channels, device="cpu").cumsum(0) / steps.sqrt()[:, None] / _BOOST
        self.embedding = nn.Embedding(bins, channels, _weight=walk.to(torch.get_default_device()))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, F, N)` with the embedding of each bin added."""
        vectors = self.embedding.weight.t()[:, :, None]  # (C, F, 1)
        return torch.add(x, vectors, alpha=self.gain)
