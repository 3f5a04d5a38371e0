"""Conformer: attention for what is far, a convolution for what is near, and feed-forward layers around them.

    x ─ + ½ ff1 ─ + attn ─ + conv ─ + ½ ff2 ─ norm ─

Source   Gulati et al., "Conformer: convolution-augmented transformer for speech recognition", Interspeech
         2020; positions are Shaw, Uszkoreit, Vaswani, "Self-attention with relative position
         representations", NAACL 2018, of keys alone.
Weights  parameter names are those of the package `conformer`.

B row · H head · N token · C channel · D channel of a head
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.split import as_graph

if TYPE_CHECKING:
    from torch import Tensor

_FARTHEST = 512  # tokens, beyond which all distances are one; as published
_SCORES = 2**24  # of queries that are answered at once: 64 MiB


class Normed(nn.Module):
    """A layer behind a norm.

    Args:
        channels: Of a token.
        layer: From tokens to tokens.
    """

    def __init__(self, channels: int, layer: nn.Module) -> None:
        super().__init__()
        self.fn = layer
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        out: Tensor = self.fn(self.norm(tokens))
        return out


class Halved(nn.Module):
    """Half of what a layer says.

    Args:
        layer: From tokens to tokens.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.fn = layer

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        out: Tensor = self.fn(tokens)
        return 0.5 * out


class FeedForward(nn.Module):
    """Two linear layers.

    Args:
        channels: Of a token.
        expansion: By how much it is wider between them.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels
        # Identities stand where the published layer drops values in training, at a probability of zero.
        self.net = nn.Sequential(
            nn.Linear(channels, inner), nn.SiLU(), nn.Identity(), nn.Linear(inner, channels), nn.Identity()
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        out: Tensor = self.net(tokens)
        return out


class RelativeAttention(nn.Module):
    """Each token gathers from those that resemble it, or that are at a distance it looks for.

    Args:
        channels: Of a token.
        heads: Of the attention.
        head_channels: Of a head.
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        inner = heads * head_channels
        self.heads = heads
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels)
        self.rel_pos_emb = nn.Embedding(2 * _FARTHEST + 1, head_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        query, key, value = (
            torch.unflatten(part, -1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D)
            for part in (self.to_q(tokens), *self.to_kv(tokens).chunk(2, dim=-1))
        )
        count = tokens.shape[1]
        if as_graph():
            answers = [self._answers(query, key, value, 0)]
        else:
            at_once = max(1, _SCORES // (len(tokens) * self.heads * count))
            some = zip(torch.split(query, at_once, 2), range(0, count, at_once), strict=True)
            answers = [self._answers(queries, key, value, start) for queries, start in some]
        out: Tensor = self.to_out(torch.cat(answers, 2).transpose(1, 2).flatten(2))
        return out

    def _answers(self, queries: Tensor, key: Tensor, value: Tensor, start: int) -> Tensor:
        """What queries gather, of which the first is that of token `start`; same shape."""
        nearness = self._nearness(queries, start, key.shape[2])
        return F.scaled_dot_product_attention(queries, key, value, attn_mask=nearness)

    def _nearness(self, queries: Tensor, start: int, count: int) -> Tensor:
        """How much queries look for the distance of each token, `(B, H, queries, N)`, scaled as scores are.

        Of the distances that occur, one row of scores each; a query then picks those of its own tokens. So
        there are two scores a pair, and not the vector of a distance a pair.
        """
        rows = queries.shape[2]
        # From the farthest behind the last query to the farthest before the first, in the order of tokens.
        distance = torch.arange(start + rows - 1, start - count, -1, device=queries.device)
        places = distance.clamp(-_FARTHEST, _FARTHEST) + _FARTHEST
        table = self.rel_pos_emb(places).to(queries.dtype)  # (rows + N − 1, D)
        wanted = torch.matmul(queries * queries.shape[-1] ** -0.5, table.T)
        offsets = torch.arange(rows - 1, -1, -1, device=queries.device)[:, None]
        columns = offsets + torch.arange(count, device=queries.device)
        return wanted.gather(-1, columns.expand(*wanted.shape[:2], -1, -1))


class DepthwiseConvolution(nn.Module):
    """Each channel from its own near past and future.

    Args:
        channels: Of the signal.
        kernel_size: Of the convolution.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        left = kernel_size // 2
        self.padding = (left, kernel_size - 1 - left)
        self.conv = nn.Conv1d(channels, channels, kernel_size, groups=channels)

    def forward(self, signal: Tensor) -> Tensor:
        """Signals `(B, C, N)`, same shape."""
        out: Tensor = self.conv(F.pad(signal, self.padding))
        return out


class Turned(nn.Module):
    """Channels and tokens change places."""

    def forward(self, x: Tensor) -> Tensor:
        """From `(B, N, C)` to `(B, C, N)`, or back."""
        return x.transpose(1, 2)


class Convolution(nn.Module):
    """What is near, through a gate.

    Args:
        channels: Of a token.
        expansion: By how much it is wider within.
        kernel_size: Tokens that are seen.
    """

    def __init__(self, channels: int, expansion: int, kernel_size: int) -> None:
        super().__init__()
        inner = expansion * channels
        self.net = nn.Sequential(
            nn.LayerNorm(channels),
            Turned(),
            nn.Conv1d(channels, 2 * inner, 1),
            nn.GLU(dim=1),
            DepthwiseConvolution(inner, kernel_size),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, channels, 1),
            Turned(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        out: Tensor = self.net(tokens)
        return out


class ConformerBlock(nn.Module):
    """Attention and a convolution between two halves of a feed-forward layer.

    Args:
        channels: Of a token.
        heads: Of the attention.
        head_channels: Of a head.
        expansion: Of the feed-forward layers.
        convolution_expansion: Of the convolution.
        kernel_size: Of the convolution.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        head_channels: int,
        expansion: int,
        convolution_expansion: int,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.ff1 = Halved(Normed(channels, FeedForward(channels, expansion)))
        self.attn = Normed(channels, RelativeAttention(channels, heads, head_channels))
        self.conv = Convolution(channels, convolution_expansion, kernel_size)
        self.ff2 = Halved(Normed(channels, FeedForward(channels, expansion)))
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        for part in (self.ff1, self.attn, self.conv, self.ff2):
            tokens = tokens + part(tokens)
        out: Tensor = self.post_norm(tokens)
        return out
