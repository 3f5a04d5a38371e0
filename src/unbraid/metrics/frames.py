"""Magnitudes of short frames, a few at a time: memory stays flat however long the track is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.dsp.stft import Padding, pad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# Samples under the windows of one block: what processors keep close at hand.
_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames centred on multiples of the hop, as the metrics of the field take them.

    Args:
        n_fft: Samples of a frame.
        hop_length: Samples between two frames.
        win_length: Samples of the Hann window in the middle of each frame; None: no window at all.
        padding: What stands beyond the edges of the signal.
    """

    n_fft: int
    hop_length: int
    win_length: int | None
    padding: Padding = Padding.REFLECT

    def magnitudes(self, samples: Tensor) -> Iterator[Tensor]:
        """Spectra of all frames, without their phase, in order.

        Args:
            samples: `(..., time)`; one too short to be mirrored is lengthened with zeros, an empty one is a
                frame of silence.

        Yields:
            `(..., n_fft / 2 + 1, frames)`, in float64 for samples in float64, else in float32; together
            `time // hop_length + 1` frames.
        """
        half, hop = self.n_fft // 2, self.hop_length
        padded = pad(samples, half, half, self.padding)
        window = self._window(samples)
        frames = samples.shape[-1] // hop + 1
        step = max(1, _AT_ONCE // (self.n_fft * max(1, math.prod(samples.shape[:-1]))))
        for start in range(0, frames, step):
            stop = min(start + step, frames)
            piece = padded[..., start * hop : (stop - 1) * hop + self.n_fft].to(window.dtype)
            rows = piece.reshape(-1, piece.shape[-1])
            spectrum = torch.stft(
                rows, self.n_fft, hop, len(window), window, center=False, return_complex=True
            )
            yield spectrum.abs().view(*samples.shape[:-1], *spectrum.shape[-2:])

    def _window(self, like: Tensor) -> Tensor:
        dtype = torch.promote_types(like.dtype, torch.float32)
        if self.win_length is None:
            return torch.ones(self.n_fft, dtype=dtype, device=like.device)
        return torch.hann_window(self.win_length, dtype=dtype, device=like.device)
