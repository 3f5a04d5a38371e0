"""The bricks, each against its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from networks.tiny import lively
from unbraid.networks.layers.attention import Attention
from unbraid.networks.layers.dconv import DConv, rescale_convolutions
from unbraid.networks.layers.frequency_embedding import FrequencyEmbedding
from unbraid.networks.layers.norm import LayerScale, TokenNorm
from unbraid.networks.layers.position import sinusoids, sinusoids_2d

DOUBLE = torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (7, 7), (5, 9), (9, 5)])
def test_attention_is_a_softmax_over_keys_in_each_head(rng, queries, keys):
    attention = Attention(12, 3).double()
    q = torch.randn(2, queries, 12, generator=rng, dtype=torch.float64)
    k = torch.randn(2, keys, 12, generator=rng, dtype=torch.float64)
    nn.init.normal_(attention.in_proj_bias, generator=rng)
    projections = zip(attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
    query, key, value = (x @ w.T + b for x, (w, b) in zip((q, k, k), projections, strict=True))
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
        heads.append(scores.softmax(-1) @ value[..., part])
    torch.testing.assert_close(attention(q, k), attention.out_proj(torch.cat(heads, -1)))


def test_attention_to_oneself_is_attention_to_equal_keys(rng):
    attention = Attention(16, 4)
    tokens = torch.randn(2, 6, 16, generator=rng)
    torch.testing.assert_close(attention(tokens), attention(tokens, tokens))


def test_attention_reads_the_weights_of_torchs_own(rng):
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    ours = Attention(16, 4)
    ours.load_state_dict(lively(theirs.state_dict()))
    theirs.load_state_dict(ours.state_dict())
    q, k = torch.randn(2, 5, 16, generator=rng), torch.randn(2, 8, 16, generator=rng)
    torch.testing.assert_close(ours(q, k), theirs(q, k, k, need_weights=False)[0])


def test_token_norm_is_a_group_norm_of_one_group(rng):
    ours, theirs = TokenNorm(6), nn.GroupNorm(1, 6)
    ours.load_state_dict(lively(theirs.state_dict()))
    theirs.load_state_dict(ours.state_dict())
    tokens = 3 + 5 * torch.randn(2, 50, 6, generator=rng)
    torch.testing.assert_close(ours(tokens), theirs(tokens.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("channels_last", [False, True])
def test_layer_scale_adds_each_channel_at_its_own_gain(channels_last):
    scale = LayerScale(2, 0.5, channels_last=channels_last)
    scale.scale.data[1] = -1.0
    x, branch = torch.ones(1, 2, 3), torch.full((1, 2, 3), 4.0)
    expected = torch.tensor([3.0, -3.0])[:, None].expand(1, 2, 3)
    if channels_last:
        x, branch, expected = x.mT, branch.mT, expected.mT
    assert scale(x, branch).equal(expected)


def test_positions_on_a_line_are_cosines_then_sines():
    embedding = sinusoids(50, 8, like=DOUBLE)
    for position in (0, 1, 49):
        for k in range(4):
            angle = position / 10_000 ** (k / 3)
            assert embedding[position, k].item() == pytest.approx(math.cos(angle))
            assert embedding[position, 4 + k].item() == pytest.approx(math.sin(angle))


def test_positions_on_a_grid_say_the_frame_then_the_bin():
    embedding = sinusoids_2d(30, 5, 16, like=DOUBLE)
    assert embedding.shape == (30, 5, 16)
    for frame, bin_ in ((0, 0), (29, 4), (7, 2)):
        for half, place in ((0, frame), (8, bin_)):
            for j in range(4):
                angle = place * 10_000 ** (-2 * j / 8)
                assert embedding[frame, bin_, half + 2 * j].item() == pytest.approx(math.sin(angle))
                assert embedding[frame, bin_, half + 2 * j + 1].item() == pytest.approx(math.cos(angle))


def test_positions_in_half_precision_are_those_of_full_precision_rounded():
    exact = sinusoids(1344, 16, like=torch.zeros(()))
    half = sinusoids(1344, 16, like=torch.zeros((), dtype=torch.bfloat16))
    assert half.equal(exact.bfloat16())


def test_a_frequency_embedding_begins_smooth_and_at_unit_deviation():
    torch.manual_seed(0)
    embedding = FrequencyEmbedding(512, 48, weight=0.2)
    used = embedding(torch.zeros(1, 48, 512, 1))[0, :, :, 0] / 0.2  # (C, F)
    assert used.std().item() == pytest.approx(1, abs=0.15)
    assert used.diff(dim=1)[:, 100:].abs().max() < 0.5


def test_a_frequency_embedding_is_added_alike_to_all_frames(rng):
    embedding = FrequencyEmbedding(4, 3, weight=0.5)
    x = torch.randn(2, 3, 4, 5, generator=rng)
    added = 5.0 * embedding.embedding.weight.T[None, :, :, None].expand(2, 3, 4, 5)
    torch.testing.assert_close(embedding(x), x + added)


@pytest.mark.parametrize(("depth", "reach"), [(1, 1), (2, 3), (3, 7)])
def test_a_dconv_looks_further_with_each_layer(depth, reach):
    dconv = DConv(8, compress=2, depth=depth, init=1.0)
    for layer in dconv.layers:
        layer[1] = layer[4] = nn.Identity()  # a group norm would let every sample reach every other
    click = torch.zeros(1, 8, 41)
    click[..., 20] = 1
    reached = (dconv(click) - dconv(torch.zeros(1, 8, 41))).abs().sum((0, 1)) > 0
    assert reached.nonzero().flatten().tolist() == list(range(20 - reach, 20 + reach + 1))


def test_a_dconv_of_small_gain_is_nearly_the_identity(rng):
    dconv = DConv(8, compress=4, depth=2, init=1e-6)
    x = torch.randn(2, 8, 30, generator=rng)
    torch.testing.assert_close(dconv(x), x, rtol=0, atol=1e-4)


def test_rescaling_brings_convolutions_halfway_to_the_reference():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(8, 8, 3), nn.ConvTranspose2d(8, 4, (8, 1)), nn.Linear(8, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rescale_convolutions(network, 0.1)
    for name, value in network.state_dict().items():
        deviation = before[name.replace("bias", "weight")].std().item()
        factor = 1.0 if name.startswith("2.") else math.sqrt(deviation / 0.1)
        torch.testing.assert_close(value * factor, before[name])
