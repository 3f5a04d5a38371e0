"""Recurrence and local attention, each against its definition and against the published modules."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from networks.tiny import lively
from unbraid.errors import ConfigError
from unbraid.networks.layers import local_attention
from unbraid.networks.layers.dconv import DConv
from unbraid.networks.layers.local_attention import LocalAttention
from unbraid.networks.layers.recurrent import BLSTM


def alive(module):
    module.load_state_dict(lively(module.state_dict()))
    return module.double().eval()


def signals(rng, length, *, channels=8, batch=2):
    return torch.randn(batch, channels, length, generator=rng, dtype=torch.float64)


def difference(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("length", [1, 7, 8])
def test_a_short_signal_is_read_as_one(rng, length):
    whole, pieces = (alive(BLSTM(8, max_steps=steps, skip=False)) for steps in (None, 8))
    x = signals(rng, length)
    assert pieces(x).equal(whole(x))


@pytest.mark.parametrize("length", [9, 11, 12, 13, 16, 30])
def test_a_long_signal_is_read_piece_by_piece(rng, length):
    blstm = alive(BLSTM(8, max_steps=8, skip=False))
    x = signals(rng, length)
    lengthened = torch.cat([x, torch.zeros(2, 8, 12, dtype=x.dtype)], dim=-1)
    count = math.ceil(length / 4)
    read = [blstm(lengthened[..., 4 * piece : 4 * piece + 8]) for piece in range(count)]
    for step in range(length):
        piece = min(max(0, (step - 2) // 4), count - 1)
        torch.testing.assert_close(blstm(x)[..., step], read[piece][..., step - 4 * piece])


def test_the_memory_of_a_step_reaches_no_further_than_its_piece(rng):
    blstm = alive(BLSTM(8, max_steps=8, skip=False))
    x = signals(rng, 40)
    changed = x.clone()
    changed[..., 20] += 1
    moved = (blstm(changed) - blstm(x)).abs().amax((0, 1)) > 0
    assert moved.nonzero().flatten().tolist() == list(
        range(18, 26)
    )  # the middles of the pieces from 16 and from 20


def test_a_skip_adds_the_signal(rng):
    with_skip, without = (alive(BLSTM(8, max_steps=None, skip=skip)) for skip in (True, False))
    x = signals(rng, 5)
    torch.testing.assert_close(with_skip(x), x + without(x))


@pytest.mark.parametrize("length", [1, 2, 13])
def test_local_attention_is_a_softmax_that_fades_with_distance(rng, length):
    attention = alive(LocalAttention(8, heads=2, decays=3))
    x = signals(rng, length, batch=1)
    query, key, content, decay = (
        getattr(attention, name)(x)[0].view(2, -1, length)
        for name in ("query", "key", "content", "query_decay")
    )
    gathered = torch.zeros(2, 4, length, dtype=x.dtype)
    for head in range(2):
        for s in range(length):
            gates = decay[head, :, s].sigmoid() / 2
            slope = sum((k + 1) / math.sqrt(3) * gates[k] for k in range(3))
            scores = torch.stack(
                [key[head, :, t] @ query[head, :, s] / 2 - abs(t - s) * slope for t in range(length)]
            )
            scores[s] = -100
            gathered[head, :, s] = content[head] @ scores.softmax(0)
    torch.testing.assert_close(attention(x), x + attention.proj(gathered.view(1, 8, length)))


@pytest.mark.parametrize("scores", [1, 100, 777])
def test_local_attention_does_not_depend_on_how_many_queries_are_served_at_once(rng, monkeypatch, scores):
    attention = alive(LocalAttention(8))
    x = signals(rng, 50)
    expected = attention(x)
    monkeypatch.setattr(local_attention, "_SCORES", scores)
    torch.testing.assert_close(attention(x), expected)


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor made while it is on, in values."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.values = max(self.values, made.numel() if isinstance(made, torch.Tensor) else 0)
        return made


def test_local_attention_never_holds_all_scores(rng):
    with torch.no_grad(), Largest() as largest:
        LocalAttention(8)(torch.randn(1, 8, 1500, generator=rng))
    assert largest.values <= 2**18 < 4 * 1500 * 1500


def test_local_attention_begins_with_an_open_ear():
    attention = LocalAttention(8)
    slopes = attention._slopes(torch.zeros(1, 8, 3))
    gate = 1 / (1 + math.exp(2)) / 2
    torch.testing.assert_close(slopes, torch.full((4, 3, 1), gate * (1 + 2 + 3 + 4) / 2))


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ConfigError, match="4 heads for 6 channels"):
        LocalAttention(6)


@pytest.mark.reference
@pytest.mark.parametrize("length", [1, 2, 199, 200, 201, 250, 251, 300, 301, 723])
def test_branches_agree_with_the_published_ones(rng, length):
    from demucs import demucs as published

    pairs = [
        (BLSTM(16, max_steps=200, skip=True), published.BLSTM(16, 2, 200, True)),
        (BLSTM(16, max_steps=None, skip=False), published.BLSTM(16, 2)),
        (LocalAttention(16), published.LocalState(16)),
        (DConv(16, 2, 2, 1e-3, lstm=True), published.DConv(16, 2, 2, 1e-3, lstm=True)),
        (DConv(16, 2, 2, 1e-3, attention=True), published.DConv(16, 2, 2, 1e-3, attn=True)),
        (
            DConv(16, 4, 3, 1e-3, lstm=True, attention=True),
            published.DConv(16, 4, 3, 1e-3, lstm=True, attn=True),
        ),
    ]
    x = signals(rng, length, channels=16)
    for ours, theirs in pairs:
        assert difference(alive(ours)(x), alive(theirs)(x)) < 1e-12
