"""Recurrent layers over signals.

B batch · C channel · T time · K piece · W steps of a piece
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.pieces import half_overlapping

if TYPE_CHECKING:
    from torch import Tensor


class BLSTM(nn.Module):
    """A bidirectional LSTM as wide as its signal, with a linear layer that brings both directions together.

    A long signal is read in overlapping pieces, each from silence: the memory of a step reaches no further
    than its piece, and all pieces are read side by side.

    Args:
        channels: In and out, and within each direction.
        layers: How many LSTM layers.
        max_steps: The longest signal read as one, and the length of a piece; a multiple of 4. None: there is
            no such limit.
        skip: Whether the signal itself is added to the result.

    Source: Défossez et al., "Music source separation in the waveform domain", 2019; in pieces, Défossez,
    "Hybrid spectrogram and waveform source separation", 2021, section 3.3.
    """

    def __init__(self, channels: int, layers: int = 2, *, max_steps: int | None, skip: bool) -> None:
        super().__init__()
        self.max_steps = max_steps
        self.skip = skip
        self.lstm = nn.LSTM(channels, channels, layers, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, T)`, same shape out."""
        y = self._read(x) if self.max_steps is None else self._read_in_pieces(x, self.max_steps)
        return x + y if self.skip else y

    def _read(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.permute(2, 0, 1))  # (T, B, 2C)
        out: Tensor = self.linear(states)
        return out.permute(1, 2, 0)

    def _read_in_pieces(self, x: Tensor, width: int) -> Tensor:
        """Each step from the piece in whose middle half it lies; the ends from the first and the last piece.

        Pieces of width W begin W / 2 apart; of each the quarters at the edges are dropped, for there the
        memory is short:

            |··|·····|··|
                 |··|·····|··|
                      |··|·····|··|
        """
        batch, channels, length = x.shape
        if length <= width:
            return self._read(x)
        stride, edge = width // 2, width // 4
        count = -(-length // stride)
        pieces = half_overlapping(F.pad(x, (0, (count + 1) * stride - length)), width)  # (B, C, K, W)
        rows = self._read(pieces.transpose(1, 2).reshape(-1, channels, width))
        read = rows.view(batch, count, channels, width).transpose(1, 2)  # (B, C, K, W)
        middle = read[..., edge:-edge].flatten(2)
        return torch.cat([read[:, :, 0, :edge], middle, read[:, :, -1, -edge:]], dim=-1)[..., :length]
