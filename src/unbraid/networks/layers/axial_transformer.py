"""A transformer for tokens on a grid of frames and bands: it attends along one axis, then along the other.

B batch · N frame or token · K band · C channel · R row · H head · D channel within a head
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.norm import RMSNorm
from unbraid.networks.layers.rotary import PolarEmbedding, RotaryEmbedding
from unbraid.split import as_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

# Tokens that go through a transformer at once: what it holds in between is several times as wide as they are.
_AT_ONCE = 2**16
_WIDER = 4  # by how much a feed-forward layer widens its tokens
_LINEAR_SCALE = 8.0  # of the scores between channels


class Position(str, Enum):
    """How a query and a key know where they stand."""

    ROTARY = "rotary"
    POLAR = "polar"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What all transformers of a network share.

    Args:
        channels: Of a token.
        heads: Of an attention.
        head_channels: Of a head.
        bias: Whether queries, keys, values and what is gathered have biases.
        normed: Whether a transformer ends in a norm.
        attention_dropout: Probability of dropping a weight of an attention in training.
        dropout: Probability of dropping a value of a feed-forward layer in training.
    """

    channels: int
    heads: int
    head_channels: int
    bias: bool
    normed: bool
    attention_dropout: float
    dropout: float

    @property
    def inner(self) -> int:
        """Channels of all heads."""
        return self.heads * self.head_channels


POSITIONS: Mapping[Position, Callable[[Sizes], RotaryEmbedding | PolarEmbedding]] = MappingProxyType(
    {
        Position.ROTARY: lambda sizes: RotaryEmbedding(sizes.head_channels),
        Position.POLAR: lambda sizes: PolarEmbedding(sizes.head_channels, sizes.heads),
    }
)


class FeedForward(nn.Module):
    """Each token by itself, through a layer four times as wide.

    Args:
        channels: Of a token.
        dropout: Probability of dropping a value in training.
    """

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            RMSNorm(channels),
            nn.Linear(channels, _WIDER * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(_WIDER * channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(..., C)`, same shape."""
        out: Tensor = self.net(tokens)
        return out


class GatedAttention(nn.Module):
    """Each token gathers from all tokens of its row; a gate for each head says how much of it counts.

    Args:
        sizes: Of tokens and heads.
        position: How tokens know where they stand.

    Source: Su et al., "RoFormer", 2021; gates: Lu et al., "Music source separation with band-split RoPE
    transformer", 2023 (published code).
    """

    def __init__(self, sizes: Sizes, position: RotaryEmbedding | PolarEmbedding) -> None:
        super().__init__()
        self.heads, self.head_channels = sizes.heads, sizes.head_channels
        self.dropout = sizes.attention_dropout
        self.polar = isinstance(position, PolarEmbedding)
        if self.polar:
            self.pope_embed = position
        else:
            self.rotary_embed = position
        self.norm = RMSNorm(sizes.channels)
        self.to_qkv = nn.Linear(sizes.channels, 3 * sizes.inner, bias=sizes.bias)
        self.to_gates = nn.Linear(sizes.channels, sizes.heads)
        self.to_out = nn.Sequential(
            nn.Linear(sizes.inner, sizes.channels, bias=sizes.bias), nn.Dropout(sizes.attention_dropout)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """What tokens `(R, N, C)` gather, same shape."""
        x = self.norm(tokens)
        packed = self.to_qkv(x).unflatten(-1, (3, self.heads, self.head_channels))
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # (R, H, N, D) each
        gathered = self._gathered(query, key, value).transpose(1, 2)  # (R, N, H, D)
        gated = gathered * self.to_gates(x).sigmoid()[..., None]
        out: Tensor = self.to_out(gated.flatten(2))
        return out

    def _gathered(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the queries of each head gather from all keys, `(R, H, N, D)`."""
        scale, dropout = self.head_channels**-0.5, self.dropout if self.training else 0.0
        if not self.polar:
            query, key = self.rotary_embed(query, key)
            return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
        query, key = self.pope_embed(query, key)
        # Fused kernels ask for values as wide as keys; without them all scores would be held at once.
        value = F.pad(value, (0, self.head_channels))
        wide = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
        return wide[..., : self.head_channels]


class ChannelAttention(nn.Module):
    """Each channel gathers from the channels of its head that resemble it over all tokens.

    Scores are between channels, so cost grows with the number of tokens, not with its square.

    Args:
        sizes: Of tokens and heads.

    Source: El-Nouby et al., "XCiT: cross-covariance image transformers", NeurIPS 2021.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.head_channels = sizes.heads, sizes.head_channels
        self.dropout = sizes.attention_dropout
        self.norm = RMSNorm(sizes.channels)
        self.to_qkv = nn.Sequential(nn.Linear(sizes.channels, 3 * sizes.inner, bias=False))
        self.temperature = nn.Parameter(torch.ones(sizes.heads, 1, 1))
        # The identity is a rearrangement in the published names.
        self.to_out = nn.Sequential(nn.Identity(), nn.Linear(sizes.inner, sizes.channels, bias=False))

    def forward(self, tokens: Tensor) -> Tensor:
        """What tokens `(R, N, C)` gather, same shape."""
        packed = self.to_qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, self.head_channels))
        query, key, value = packed.permute(2, 0, 3, 4, 1)  # (R, H, D, N) each
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        scores = (query @ key.transpose(-1, -2)) * self.temperature.exp() * _LINEAR_SCALE  # (R, H, D, D)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        gathered = (weights @ value).flatten(1, 2).transpose(-1, -2)  # (R, N, H·D)
        out: Tensor = self.to_out(gathered)
        return out


class Transformer(nn.Module):
    """Attention and feed-forward layers in turn, each added to what it heard; rows do not know each other.

    Args:
        sizes: Of tokens and heads.
        depth: How many of each.
        position: How tokens know where they stand; None: channels attend to each other, tokens do not.
    """

    def __init__(self, sizes: Sizes, depth: int, position: RotaryEmbedding | PolarEmbedding | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    ChannelAttention(sizes) if position is None else GatedAttention(sizes, position),
                    FeedForward(sizes.channels, sizes.dropout),
                ]
            )
            for _ in range(depth)
        )
        self.norm = RMSNorm(sizes.channels) if sizes.normed else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(R, N, C)`, same shape.

        A few rows go through all layers before the next begin, so that memory grows with the tokens alone. A
        graph that is being recorded is spared that: it has a runtime of its own.
        """
        if as_graph():
            return self._through(tokens)
        rows = max(1, _AT_ONCE // max(1, tokens.shape[1]))
        parts = [self._through(tokens[start : start + rows]) for start in range(0, len(tokens), rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _through(self, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            attention, feed_forward = cast("nn.ModuleList", layer)
            tokens = attention(tokens) + tokens
            tokens = feed_forward(tokens) + tokens
        out: Tensor = self.norm(tokens)
        return out


class AxialLayers(nn.ModuleList):
    """Transformers along time and along bands in turn.

    Args:
        sizes: Of tokens and heads.
        depth: How many layers.
        linear: Depth of a transformer between channels, over the whole grid, that begins each layer; 0: none.
        time: Depth of the transformer along time.
        band: Depth of the one along bands.
        position: How tokens know where they stand; of each axis there is one for all layers.
        skip_connection: Whether a layer hears the sum of all earlier layers' outputs, too.
    """

    def __init__(
        self,
        sizes: Sizes,
        depth: int,
        *,
        linear: int,
        time: int,
        band: int,
        position: Position,
        skip_connection: bool,
    ) -> None:
        super().__init__()
        self.skip_connection = skip_connection
        along_time, along_bands = POSITIONS[position](sizes), POSITIONS[position](sizes)
        for _ in range(depth):
            across = [Transformer(sizes, linear, None)] if linear else []
            axes = [Transformer(sizes, time, along_time), Transformer(sizes, band, along_bands)]
            self.append(nn.ModuleList([*across, *axes]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, K, C)`, same shape."""
        earlier: Tensor | None = None
        for layer in cast("Iterable[nn.ModuleList]", self):
            *across, along_time, along_bands = layer
            for transformer in across:
                tokens = transformer(tokens.flatten(1, 2)).view_as(tokens)
            if earlier is not None:
                tokens = tokens + earlier
            columns = tokens.transpose(1, 2)  # (B, K, N, C)
            tokens = along_time(columns.flatten(0, 1)).view_as(columns).transpose(1, 2)
            tokens = along_bands(tokens.flatten(0, 1)).view(tokens.shape)
            if self.skip_connection:
                earlier = tokens if earlier is None else earlier + tokens
        return tokens
