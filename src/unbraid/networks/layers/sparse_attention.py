"""Attention in which each query sees only some of the keys.

Four kinds of patterns depend on places alone. They may be joined: a query sees what any of them shows it.

    diag      keys within a window around the query's own place
    jmask     keys at a distance of 0, 1, 3, 6, 10, … from it: far away, fewer
    random    each key with the same probability, from a seed
    global    the first keys for each query, and each key for the first queries

"auto" depends on what tokens say. In each of 32 rounds a token falls into one of four buckets: the one of
two random directions and their opposites that it points along most. A query sees the keys that share its
bucket in at least k rounds, where k is the least number that leaves out the wanted share of a head's pairs.

Whichever the pattern, queries are served a block at a time: neither scores nor masks of all heads are held.

Source   Rouard, Massa, Défossez, "Hybrid transformers for music source separation", ICASSP 2023, section
         on sparse attention; places in the published code.
Differs  random directions come from the seed, so equal inputs give equal outputs; how the published kernel
         rounded k is unknown, since it was never released. A query that sees no key gathers zero. Masks of
         places have a row per query; the published network, by an oversight, a row per item of the batch.

B batch · H head · N query · M key · D channel within a head
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unbraid.networks.layers.attention import Attention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

Kind = Literal["auto", "diag", "jmask", "random", "global"]

_BLOCK = 512  # queries served at once
_ROUNDS = 32
_BUCKETS = 4


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which keys a query sees.

    Args:
        kinds: "auto" alone, or any of the others.
        sparsity: Share of pairs that "auto" and "random" leave out.
        window: How far "diag" sees to both sides, in keys.
        global_window: First keys that "global" shows to all; as large a share of the queries sees all.
        seed: Of what "auto" and "random" draw; from a generator of their own.
    """

    kinds: tuple[Kind, ...]
    sparsity: float
    window: int
    global_window: int
    seed: int

    def masks(self, queries: int, keys: int) -> Iterator[Tensor]:
        """The pattern of places, a block of queries after the other.

        Args:
            queries: How many there are.
            keys: How many there are.

        Yields:
            `(n, M)` on the CPU: True where the query sees the key.
        """
        generator = torch.Generator().manual_seed(self.seed)
        for rows in torch.split(torch.arange(queries, device="cpu")[:, None], _BLOCK):
            mask = torch.zeros(len(rows), keys, dtype=torch.bool, device="cpu")
            for kind in self.kinds:
                if kind == "diag":
                    mask |= _near(rows, queries, keys, self.window)
                elif kind == "jmask":
                    mask |= _triangular(rows, queries, keys)
                elif kind == "random":
                    mask |= torch.rand(mask.shape, generator=generator, dtype=torch.float32) > self.sparsity
                else:
                    mask |= _first(rows, queries, keys, self.global_window)
            yield mask

    def alike(self, query: Tensor, key: Tensor) -> Tensor:
        """The pattern of content: who shares buckets often enough with whom.

        Args:
            query: Tokens of one head, `(N, D)`.
            key: `(M, D)`.

        Returns:
            `(N, M)`: True where the query sees the key.
        """
        key = self._buckets(key).transpose(-1, -2)
        blocks = torch.split(self._buckets(query), _BLOCK)
        rounds = torch.cat([(block @ key).to(torch.uint8) for block in blocks])
        counts = torch.bincount(rounds.flatten(), minlength=_ROUNDS + 1)
        pairs = counts.flip(0).cumsum(0).flip(0)  # that share k rounds or more
        most = rounds.numel() - math.ceil(self.sparsity * rounds.numel())
        return rounds >= (pairs > most).sum().clamp(max=_ROUNDS)

    def _buckets(self, tokens: Tensor) -> Tensor:
        """1 where a token's bucket is and 0 elsewhere, `(N, 128)`: products of these count shared buckets."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (tokens.shape[-1], _ROUNDS * _BUCKETS // 2)
        directions = torch.randn(shape, generator=generator, dtype=torch.float32).to(tokens.device)
        dtype = torch.promote_types(tokens.dtype, torch.float32)
        along = (tokens.to(dtype) @ directions.to(dtype)).view(-1, _ROUNDS, _BUCKETS // 2)
        bucket = torch.cat([along, -along], dim=-1).argmax(-1)
        return F.one_hot(bucket, _BUCKETS).flatten(-2).to(torch.float32)


class SparseAttention(Attention):
    """Attention of the same weights, to the keys that a pattern shows.

    Args:
        channels: Size of a token.
        heads: A divisor of `channels`.
        dropout: Probability with which a weight is dropped in training.
        pattern: Which keys a query sees.
    """

    def __init__(self, channels: int, heads: int, dropout: float, pattern: Pattern) -> None:
        super().__init__(channels, heads, dropout)
        self.pattern = pattern

    def _gathered(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if "auto" in self.pattern.kinds:
            heads = zip(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), strict=True)
            return torch.stack([_recomputed(self._by_content, *head) for head in heads]).view(query.shape)
        masks = self.pattern.masks(query.shape[2], key.shape[2])
        blocks = zip(torch.split(query, _BLOCK, dim=2), masks, strict=True)
        parts = [_recomputed(self._by_place, block, key, value, mask) for block, mask in blocks]
        return torch.cat(parts, dim=2)

    def _by_content(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the queries `(N, D)` of one head gather."""
        masks = torch.split(self.pattern.alike(query.detach(), key.detach()), _BLOCK)
        query, key, value = query[None, None], key[None, None], value[None, None]
        blocks = zip(torch.split(query, _BLOCK, dim=2), masks, strict=True)
        return torch.cat([self._seen(block, key, value, mask)[0, 0] for block, mask in blocks])

    def _by_place(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """What a block of queries gathers; keys that none of them sees cost nothing."""
        seen = mask.any(0)
        seen[0] = True  # attention needs a key, be it one that all are to ignore
        index, mask = seen.nonzero()[:, 0].to(key.device), mask[:, seen].to(key.device)
        return self._seen(query, key.index_select(2, index), value.index_select(2, index), mask)

    def _seen(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """What queries `(…, n, D)` gather from the keys that `mask` shows them; zero where it shows none."""
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


def _near(rows: Tensor, queries: int, keys: int, window: int) -> Tensor:
    """Keys at most `window` from the place of a query; those beyond the ends are the ends."""
    reach = min(window, keys)
    columns = _places(rows, queries, keys) + torch.arange(-reach, reach + 1, device="cpu")
    return _marked(columns.long().clamp(0, keys - 1) + 1, keys)


def _triangular(rows: Tensor, queries: int, keys: int) -> Tensor:
    """Keys at a triangular number from the place of a query."""
    steps = torch.arange(int((2 * keys) ** 0.5 + 1), device="cpu")
    far = steps * (steps + 1) // 2
    # The published code counts rows and columns from 1, and rounds places accordingly.
    columns = _places(rows + 1, queries, keys) + torch.cat([-far, far])
    return _marked(columns.long().clamp(0, keys + 1), keys)


def _first(rows: Tensor, queries: int, keys: int, window: int) -> Tensor:
    """The first keys for each query, each key for as large a share of the queries."""
    return (torch.arange(keys, device="cpu") < window) | (rows < int(window * queries / keys))


def _places(rows: Tensor, queries: int, keys: int) -> Tensor:
    """Where queries `(n, 1)` stand among the keys; in float32, whose rounding the published masks have."""
    return keys / queries * rows.to(torch.float32)


def _marked(columns: Tensor, keys: int) -> Tensor:
    """True at the columns `(n, K)` of each row; they count from 1, and 0 and M + 1 are outside."""
    mask = torch.zeros(len(columns), keys + 2, dtype=torch.bool, device="cpu")
    return mask.scatter_(1, columns, True)[:, 1:-1]


def _recomputed(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """A function of tensors; where gradients are wanted it runs again for them, and no mask is kept."""
    if not torch.is_grad_enabled():
        return function(*tensors)
    out: Any = checkpoint(function, *tensors, use_reentrant=False)
    result: Tensor = out
    return result
