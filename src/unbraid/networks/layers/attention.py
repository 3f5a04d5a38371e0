"""Multi-head attention that never holds its scores.

B batch · H head · N query · M key · C channel · D channel within a head
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


class Attention(nn.Module):
    """Each query token gathers from the key tokens that resemble it, in several heads.

    Parameters are named and packed as in `torch.nn.MultiheadAttention`: queries, keys and values stand
    under each other in `in_proj_weight`. The product is `scaled_dot_product_attention`, whose fused kernel
    works block by block: for 2688 tokens and 8 heads it saves a tensor of 220 MiB.

    Args:
        channels: Size of a token.
        heads: A divisor of `channels`.
        dropout: Probability with which a weight is dropped in training.

    Source: Vaswani et al., "Attention is all you need", 2017.
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, queries: Tensor, keys: Tensor | None = None) -> Tensor:
        """What each query gathers.

        Args:
            queries: `(B, N, C)`.
            keys: Tokens gathered from, `(B, M, C)`; None: the queries themselves.

        Returns:
            `(B, N, C)`.
        """
        if keys is None:
            query, key, value = self._heads(queries, 0, 3)
        else:
            (query,) = self._heads(queries, 0, 1)
            key, value = self._heads(keys, 1, 3)
        out: Tensor = self.out_proj(self._gathered(query, key, value).transpose(1, 2).flatten(2))
        return out

    def _gathered(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the queries of each head gather from all keys, `(B, H, N, D)`."""
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)

    def _heads(self, tokens: Tensor, first: int, end: int) -> tuple[Tensor, ...]:
        """The projections `first` to `end` of query, key, value; each `(B, H, N, D)`."""
        channels = tokens.shape[-1]
        rows = slice(first * channels, end * channels)
        packed = F.linear(tokens, self.in_proj_weight[rows], self.in_proj_bias[rows])
        packed = packed.view(*tokens.shape[:2], end - first, self.heads, -1)  # (B, N, 1 to 3, H, D)
        return tuple(packed.permute(2, 0, 3, 1, 4))
