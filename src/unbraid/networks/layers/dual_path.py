"""Recurrence over a grid of bands and frames: along one axis, then along the other.

B batch · K band · N frame · C channel · R row
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Recurrence(nn.Module):
    """Adds to each step of a row what a recurrent layer has heard up to there, from both ends.

    Args:
        channels: In and out.
        hidden: Channels in each direction.

    Source: Luo and Yu, "Music source separation with band-split RNN", 2023, section III.B; each channel of a
    row is normalised on its own, as in the published weights.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(channels, channels)
        self.rnn = nn.LSTM(channels, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, channels)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows `(R, steps, C)`, same shape."""
        heard, _ = self.rnn(self.groupnorm(rows.transpose(-1, -2)).transpose(-1, -2))
        out: Tensor = self.fc(heard)
        return rows + out


class DualPath(nn.Sequential):
    """A recurrence along time, then one along bands.

    Args:
        channels: In and out.
        hidden: Channels in each direction.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(Recurrence(channels, hidden), Recurrence(channels, hidden))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, K, N, C)`, same shape."""
        along_time, along_bands = cast("tuple[Recurrence, Recurrence]", tuple(self))
        tokens = along_time(tokens.flatten(0, 1)).view(tokens.shape)
        frames = tokens.transpose(1, 2)  # (B, N, K, C)
        heard: Tensor = along_bands(frames.flatten(0, 1)).view(frames.shape)
        return heard.transpose(1, 2)
