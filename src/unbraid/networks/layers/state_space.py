"""Mamba-2: sequences heard through a state that decays as fast as each step decides.

    x ─ in_proj ─┬─ convolution, silu ─ scan ─┬─ × silu(z) ─ norm ─ out_proj
                 └──────────── z ─────────────┘

Of each head, with steps Δ > 0, a rate A < 0, and vectors B (what is written) and C (what is read), all but
A decided by the token itself:

    state ← exp(Δ A) state + Δ x ⊗ B        y = state C

Source   Dao and Gu, "Transformers are SSMs: generalized models and efficient algorithms through structured
         state space duality", ICML 2024; the sum in chunks is section 6.
Weights  parameter names are those of the published class.

B row · N token · C channel · H head · P channel within a head · K state · Q token of a chunk
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.norm import root_mean_square_one
from unbraid.split import as_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# Tokens of a chunk. Work within a chunk grows with its length, work between chunks does not depend on it;
# so few as leave matrices that a processor multiplies at full speed. Up to half as many more are one chunk.
_CHUNK = 64
# What a processor is given at once, so that it stays in its cache: numbers that are scanned, of whole rows;
# and decays, of some heads.
_SCANNED = 2**20
_DECAYS = 2**17
_KERNEL_CHUNK = 256  # as published
_STEPS = (0.001, 0.1)  # between which the first ones lie; published, as are the rates
_RATES = (1.0, 16.0)
_EPS = 1e-5  # of the published norms


class LevelNorm(nn.RMSNorm):
    """Brings every token to a root mean square of one, then scales each channel; of mixed precision, too.

    Args:
        channels: Size of the last axis.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(..., C)`, same shape."""
        return root_mean_square_one(tokens, self.weight, _EPS)


class Mamba2(nn.Module):
    """Each token from itself and all before it, in time that grows with their number alone.

    Args:
        channels: Of a token.
        state_size: Of what each channel of a head remembers.
        expansion: How many times as many channels are scanned.
        head_size: Channels of a head; a divisor of those scanned.
        kernel_size: Tokens that the convolution before the scan sees.
    """

    def __init__(
        self,
        channels: int,
        *,
        state_size: int = 128,
        expansion: int = 4,
        head_size: int = 64,
        kernel_size: int = 4,
    ) -> None:
        super().__init__()
        inner = expansion * channels
        self.head_size, heads = head_size, inner // head_size
        self.sizes = [inner, inner + 2 * state_size, heads]
        self.inner_sizes = [inner, state_size, state_size]
        self.in_proj = nn.Linear(channels, sum(self.sizes), bias=False)
        self.conv1d = nn.Conv1d(
            self.sizes[1], self.sizes[1], kernel_size, groups=self.sizes[1], padding=kernel_size - 1
        )
        steps = torch.empty(heads).uniform_(*(math.log(step) for step in _STEPS)).exp()
        self.dt_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # of which softplus is the step
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(*_RATES).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = LevelNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, same shape."""
        if _in_pieces(tokens.device):
            rows = max(1, _SCANNED // (tokens.shape[1] * self.sizes[0]))
            return torch.cat([self._heard(piece) for piece in torch.split(tokens, rows)])
        return self._heard(tokens)

    def _heard(self, tokens: Tensor) -> Tensor:
        gate, signal, steps = torch.split(self.in_proj(tokens), self.sizes, dim=-1)
        near = self.conv1d(signal.transpose(1, 2))[..., : tokens.shape[1]].transpose(1, 2)  # none later
        signal, writes, reads = torch.split(F.silu(near), self.inner_sizes, dim=-1)
        signal = torch.unflatten(signal, -1, (-1, self.head_size))  # (B, N, H, P)
        read = scan(signal, F.softplus(steps + self.dt_bias), -self.A_log.exp(), writes, reads)
        heard = torch.addcmul(read, signal, self.D[:, None]).flatten(2)
        out: Tensor = self.out_proj(self.norm(heard * F.silu(gate)))
        return out


def scan(signal: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    """What is read, token by token, of a state that each token lets decay and writes to.

    Args:
        signal: What is written, `(B, N, H, P)`.
        steps: How much each token counts, and how long it lasts; positive, `(B, N, H)`.
        rates: At which a head's state grows; negative, `(H,)`.
        writes: Where in the state it is written, `(B, N, K)`.
        reads: Where it is read, `(B, N, K)`.

    Returns:
        `(B, N, H, P)`. Half precision is summed in float32.

    >>> ones = torch.ones(1, 3, 1)
    >>> scan(ones[..., None], ones, torch.tensor([-1.0]), ones, ones).flatten()  # 1, 1 + 1/e, 1 + 1/e + 1/e²
    tensor([1.0000, 1.3679, 1.5032])
    """
    kernel = _kernel_for(signal.device)
    if kernel is not None:
        read: Tensor = kernel(
            signal, steps, rates, writes[:, :, None], reads[:, :, None], chunk_size=_KERNEL_CHUNK
        )
        return read
    exact = torch.promote_types(signal.dtype, torch.float32)
    with torch.autocast(signal.device.type, enabled=False):
        decays = steps.to(exact) * rates.to(exact)
        written = signal.to(exact) * steps.to(exact)[..., None]
        summed = _in_turn if _in_pieces(signal.device) else _at_once
        return summed(written, decays, writes.to(exact), reads.to(exact)).to(signal.dtype)


def _in_pieces(device: torch.device) -> bool:
    """Whether to go in loops over small pieces, which ties a graph to the length of what it was made with."""
    return device.type == "cpu" and not as_graph()


def _chunk(tokens: int) -> int:
    """Tokens of a chunk: as many in each, so that none is nearly empty."""
    return -(-tokens // max(1, round(tokens / _CHUNK)))


def _in_turn(written: Tensor, decays: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    """What is read, chunk after chunk: the state is carried from each to the next.

    Args:
        written: What is written, `(B, N, H, P)`.
        decays: Logarithms of what each token leaves of the state, `(B, N, H)`.
        writes: `(B, N, K)`.
        reads: `(B, N, K)`.

    Returns:
        `(B, N, H, P)`.
    """
    size = _chunk(written.shape[1])
    heads = max(1, _DECAYS // (size**2 * len(written)))
    chunks = list(
        zip(*(torch.split(value, size, 1) for value in (written, decays, writes, reads)), strict=True)
    )
    state = None  # (B, HP, K)
    pieces = []
    for place, (values, logarithms, places, wanted) in enumerate(chunks):
        total = logarithms.cumsum(1)  # (B, Q, H)
        matches = torch.bmm(wanted, places.transpose(1, 2)).tril()
        some = zip(torch.split(values, heads, 2), torch.split(total, heads, 2), strict=True)
        read = torch.cat([_within(value, logarithm, matches) for value, logarithm in some], 2)
        if state is not None:
            before = torch.bmm(wanted, state.transpose(1, 2)).view_as(read)
            read = torch.addcmul(read, before, total.exp()[..., None])
        if place + 1 < len(chunks):
            state = _carried(state, values, total, places)
        pieces.append(read)
    return torch.cat(pieces, 1)


def _at_once(written: Tensor, decays: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    """The same without a loop, for graphs and for devices that have no use for small pieces.

    States between chunks are a product of matrices, too: of what each chunk leaves to each later one.
    """
    rows, tokens = written.shape[:2]
    values, logarithms, places, wanted = (
        _in_chunks(value, -tokens % _CHUNK) for value in (written, decays, writes, reads)
    )
    total = logarithms.cumsum(1)  # (B · chunks, Q, H)
    read = _within(values, total, torch.bmm(wanted, places.transpose(1, 2)).tril())
    last = total[:, -1:]
    fresh = (values * (last - total).exp()[..., None]).flatten(2).transpose(1, 2)
    fresh = torch.unflatten(torch.bmm(fresh, places), 1, values.shape[2:])  # (B · chunks, H, P, K)
    fresh = fresh.reshape(rows, -1, *fresh.shape[1:]).transpose(1, 2)  # (B, H, chunks, P, K)
    ends = last.reshape(rows, -1, last.shape[-1]).cumsum(1).transpose(1, 2)  # (B, H, chunks)
    starts = F.pad(ends, (1, 0))[..., :-1]
    lost = (starts[..., :, None] - ends[..., None, :]).clamp_max(0)  # (B, H, chunks, chunks)
    left = lost.exp() * torch.ones_like(lost).tril(-1)
    states = torch.matmul(left, fresh.flatten(3)).transpose(1, 2).reshape(-1, *fresh.shape[3:])
    states = states.reshape(wanted.shape[0], -1, wanted.shape[-1])  # (B · chunks, HP, K)
    before = torch.unflatten(torch.bmm(wanted, states.transpose(1, 2)), -1, values.shape[2:])
    read = torch.addcmul(read, before, total.exp()[..., None])
    return read.reshape(rows, -1, *read.shape[2:])[:, :tokens]


def _in_chunks(value: Tensor, missing: int) -> Tensor:
    """From `(B, N, …)` to `(B · chunks, Q, …)`, with so many silent tokens behind the last."""
    padded = F.pad(value, (0, 0) * (value.ndim - 2) + (0, missing))
    return torch.unflatten(padded, 1, (-1, _CHUNK)).flatten(0, 1)


def _within(values: Tensor, total: Tensor, matches: Tensor) -> Tensor:
    """What tokens read of what tokens of the same chunk wrote: a product of matrices.

    Args:
        values: `(B, Q, H, P)`.
        total: Logarithms of what is left, at each token, of the state before the chunk, `(B, Q, H)`.
        matches: How much each token reads of where another writes; zero of later ones, `(B, Q, Q)`.

    Returns:
        `(B, Q, H, P)`.
    """
    logarithms = total.transpose(1, 2)
    lost = logarithms[..., :, None] - logarithms[..., None, :]  # (B, H, Q, Q)
    # Of later tokens nothing is read; the clamp only keeps their exponential finite.
    weights = lost.clamp_max(0).exp() * matches[:, None]
    return torch.matmul(weights, values.transpose(1, 2)).transpose(1, 2)


def _carried(state: Tensor | None, values: Tensor, total: Tensor, places: Tensor) -> Tensor:
    """The state behind a chunk, `(B, HP, K)`, from that before it."""
    last = total[:, -1:]
    fresh = (values * (last - total).exp()[..., None]).flatten(2).transpose(1, 2)  # (B, HP, Q)
    if state is None:
        return torch.bmm(fresh, places)
    left = last.exp().transpose(1, 2).expand(-1, -1, values.shape[-1]).flatten(1)  # (B, HP)
    return torch.baddbmm(state * left[..., None], fresh, places)


def _kernel_for(device: torch.device) -> Callable[..., Any] | None:
    """What sums faster than we do on a device: the published kernel for CUDA, if it is installed."""
    if device.type != "cuda" or as_graph():
        return None
    return _published_kernel()


@functools.cache
def _published_kernel() -> Callable[..., Any] | None:
    try:
        module = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    except ImportError:
        return None
    kernel: Callable[..., Any] = module.mamba_chunk_scan_combined
    return kernel
