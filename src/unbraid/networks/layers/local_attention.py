"""Attention that prefers what is near, without positions.

B batch · C channel · T time · H head · D channel within a head · N query · M key
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.errors import ConfigError
from unbraid.split import as_graph

if TYPE_CHECKING:
    from torch import Tensor

_ITSELF = -100.0  # score of a step with itself: no weight beside any neighbour, all of it where alone
_SCORES = 2**18  # held at once; four times as many were slower by a third, all at once four times slower
_PARTS = 8  # of the queries in a graph, where each takes time to make


class LocalAttention(nn.Module):
    """Adds to each step what it gathers from the others; how fast interest fades with distance is learned.

    The score of key t for query s is `key · query / √D − |t − s| · slope(s)`. The slope is a sum of gates
    that the query opens, each a half at most: gate k counts `k / √decays`.

    Queries are served a few at a time, so that scores stay in cache whatever the signal's length.

    Args:
        channels: In and out.
        heads: A divisor of `channels`.
        decays: Gates of a head.

    Raises:
        ConfigError: If the heads do not divide the channels.

    Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, section 3.3.
    """

    def __init__(self, channels: int, heads: int = 4, decays: int = 4) -> None:
        super().__init__()
        if channels % heads:
            raise ConfigError(
                f"local attention has {heads} heads for {channels} channels; it takes a divisor"
            )
        self.heads = heads
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, heads * decays, 1)
        self.proj = nn.Conv1d(channels, channels, 1)
        with torch.no_grad():  # nearly closed gates: at first all steps are heard
            self.query_decay.weight *= 0.01
            self.query_decay.get_parameter("bias").fill_(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, T)`, same shape out."""
        query, key, content = (self._heads(layer(x)) for layer in (self.query, self.key, self.content))
        gathered = self._gathered(query, key, content, self._slopes(x))
        out: Tensor = self.proj(gathered.transpose(-1, -2).reshape(x.shape))
        return x + out

    def _heads(self, x: Tensor) -> Tensor:
        """Channels of each head, `(B·H, T, D)`."""
        batch, channels, steps = x.shape
        return x.view(batch * self.heads, channels // self.heads, steps).transpose(-1, -2)

    def _slopes(self, x: Tensor) -> Tensor:
        """By how much each query's interest falls with each step of distance, `(B·H, T, 1)`."""
        gates = self._heads(self.query_decay(x)).sigmoid() / 2
        decays = gates.shape[-1]
        weights = torch.arange(1, decays + 1, dtype=gates.dtype, device=gates.device) / math.sqrt(decays)
        return (gates * weights).sum(-1, keepdim=True)

    def _gathered(self, query: Tensor, key: Tensor, content: Tensor, slope: Tensor) -> Tensor:
        """What each query gathers, `(B·H, T, D)`."""
        rows, steps, width = query.shape
        at_once = max(1, _SCORES // max(1, rows * steps), -(-steps // _PARTS) if as_graph() else 0)
        place = torch.arange(steps, device=query.device)
        parts = []
        for start in range(0, steps, at_once):
            part = slice(start, start + at_once)
            distance = place[part, None] - place  # (N, M)
            fading = slope[:, part] * -distance.abs().to(slope.dtype)  # (B·H, N, M)
            scores = torch.baddbmm(fading, query[:, part], key.transpose(-1, -2), alpha=1 / math.sqrt(width))
            weights = scores.masked_fill(distance == 0, _ITSELF).softmax(-1)
            parts.append(weights @ content)
        return torch.cat(parts, dim=1)
