"""What the magnitude transformer promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.base import parameter_count
from unbraid.networks.magnitude_transformer import (
    Above,
    Config,
    Frames,
    MagnitudeTransformer,
    Output,
    Tokens,
)


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = MagnitudeTransformer(structure({**TINY["magnitude_transformer"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval().requires_grad_(requires_grad=False)


def constant(shares, correction=0.0, **changes):
    """A network whose first three sources are these, whatever it hears."""
    network = small(**changes)
    for parameter in network.parameters():
        parameter.zero_()
    for unet, share in zip(network.unets, shares, strict=True):
        unet.output.bias.fill_(share)
    network.rest.output.bias.fill_(correction)
    return network


def noise(rng, length=240, *, batch=1):
    return 0.3 * torch.randn(batch, 2, length, generator=rng, dtype=torch.float64)


def magnitudes(rng, network, frames=16):
    """A mixture as the network proper takes it."""
    shape = (1, network.spec.channels, network.config.bins, frames)
    return torch.rand(shape, generator=rng, dtype=torch.float64)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = MagnitudeTransformer().spec
    assert spec.sources == ("vocals", "drums", "bass", "other")
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 191 * 1024)
    assert (spec.multiple, spec.context, spec.fixed, spec.levelled) == (1, 0, False, False)


def test_parameters_are_spent_on_the_pair_s_transformers():
    with torch.device("meta"):
        network = MagnitudeTransformer()
    vocals, drums, bass = (
        parameter_count(tokens) + parameter_count(frames)
        for tokens, frames in zip(network.tokens, network.frames, strict=True)
    )
    assert vocals == drums == 12_222_848
    assert bass == 2_123_648
    assert [parameter_count(unet) for unet in (*network.unets, network.rest)] == [*[216_042] * 3, 216_954]


def test_masks_share_the_mixture_out_and_the_rest_is_what_they_leave(rng):
    shares = torch.tensor([0.2, 0.3, 0.4], dtype=torch.float64)
    mixture = noise(rng)
    estimates = constant(shares.logit())(mixture)
    for estimate, share in zip(estimates[0], [*shares, 0.1], strict=True):
        torch.testing.assert_close(estimate, share * mixture[0])


@pytest.mark.parametrize(
    ("correction", "expected"),
    [(0.0, 0.1), (0.3, 0.4), (-0.05, 0.05), (-0.3, 0.0), (0.95, 1.0)],
)
def test_the_rest_is_corrected_within_nothing_and_the_mixture(correction, expected, rng):
    shares = torch.tensor([0.2, 0.3, 0.4], dtype=torch.float64)
    network = constant(shares.logit(), torch.tensor(correction, dtype=torch.float64).atanh())
    mixture = noise(rng)
    torch.testing.assert_close(network(mixture)[:, 3], expected * mixture)


def test_a_magnitude_sounds_at_the_phase_of_the_mixture(rng):
    levels = torch.tensor([0.5, -1.0, 1.5], dtype=torch.float64)
    network = constant(levels, 2.0, output="magnitude", above="drop")
    mixture = magnitudes(rng, network)
    expected = F.softplus(levels)
    estimates = network.magnitudes(mixture)
    for source in range(3):
        torch.testing.assert_close(estimates[:, source], expected[source].expand_as(mixture))
    torch.testing.assert_close(estimates[:, 3], F.relu(mixture - expected.sum() + 2.0))
    signal = noise(rng)
    spectrum = network.stft(signal)
    turned = spectrum / spectrum.abs()
    turned[..., 24:, :] = 0
    for source in range(3):
        wanted = network.stft.inverse(expected[source] * turned, 240)
        torch.testing.assert_close(network(signal)[:, source], wanted)


@pytest.mark.parametrize("above", Above)
def test_above_the_highest_bin_there_is_the_edge_s_gain_or_nothing(above):
    network = constant(torch.tensor([0.2, 0.3, 0.4]).logit(), above=above)
    rate, length = network.spec.sample_rate, network.spec.segment
    high = signals.tone(length, hz=3500, rate=rate)[None].double()  # bin 28 of 24
    middle = slice(64, length - 64)
    vocals = network(high)[0, 0, :, middle]
    if above is Above.DROP:
        assert vocals.norm() < 1e-3 * high[0, :, middle].norm()
    else:
        torch.testing.assert_close(vocals, 0.2 * high[0, :, middle], rtol=1e-6, atol=1e-8)


def test_no_source_is_louder_above_the_highest_bin_than_the_mixture(rng):
    network = constant([5.0, 5.0, 5.0], output="magnitude")  # far louder than what it hears
    mixture = noise(rng)
    spectrum = network.stft(mixture).abs()
    extended = network._extended(network.magnitudes(spectrum[..., :24, :]), spectrum)
    assert extended[:, :, :, :24].amax() > 5
    assert (extended[:, :3, :, 24:] == spectrum[:, None, :, 24:]).all()


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("iterations", [0, 1])
def test_silence_stays_silent(output, iterations):
    network = small(output=output, iterations=iterations)
    assert not network(signals.silence(240)[None].double()).any()


@pytest.mark.parametrize("signal", [signals.constant, signals.antiphase, signals.clipped, signals.click])
@pytest.mark.parametrize("output", Output)
def test_odd_signals_give_finite_estimates(signal, output):
    network = small(output=output).float()
    assert network(signal(240)[None]).isfinite().all()


def test_a_wiener_filter_may_follow(rng):
    network, plain = small(iterations=2), small()
    mixture = noise(rng)
    spectrum = network.stft(mixture)
    estimates = plain._extended(plain.magnitudes(spectrum.abs()[..., :24, :]), spectrum.abs())
    expected = plain.stft.inverse(WienerFilter(iterations=2)(estimates, spectrum), 240)
    torch.testing.assert_close(network(mixture), expected)
    assert (network(mixture) - plain(mixture)).norm() > 0.05 * plain(mixture).norm()


def test_a_token_is_a_convolution_over_all_bins_of_a_frame(rng):
    network = small(layers=1)  # no layer before sources meet
    heard = magnitudes(rng, network)
    tokens: Tokens = network.tokens[0]
    kernel = tokens.embedding.weight.view(-1, 2, 24, 1)
    plain = F.conv2d(heard, kernel, tokens.embedding.bias).squeeze(2).mT
    assert tokens(heard).shape == (1, 16, 12)
    positions = tokens(heard) - plain
    torch.testing.assert_close(positions, tokens(torch.zeros_like(heard)) - tokens.embedding.bias)
    assert positions.square().sum(-1).allclose(torch.tensor(6.0, dtype=torch.float64))  # cos² + sin²


def test_a_frame_is_a_transposed_convolution_of_its_token(rng):
    network = small()
    frames: Frames = network.frames[2]
    tokens = torch.randn(1, 16, 8, generator=rng, dtype=torch.float64)
    kernel = frames.output.weight.view(2, 24, 8).permute(2, 0, 1)[..., None]
    reworked = frames.norm(frames.layers(tokens)).mT[:, :, None]
    expected = F.conv_transpose2d(reworked, kernel) + frames.output.bias.view(2, 24, 1)
    torch.testing.assert_close(frames(tokens), expected)


def test_every_frame_is_heard_for_every_other(rng):
    network = small()
    for parameter in (p for unet in network.unets for p in unet.parameters()):
        parameter.zero_()
    mixture = magnitudes(rng, network).requires_grad_()
    network.magnitudes(mixture)[:, :3, :, :, 0].sum().backward()
    assert mixture.grad.abs().amax((0, 1, 2)).gt(0).all()


def listeners(network, rng, changed):
    """Which estimates of the network proper change with these parameters."""
    mixture = magnitudes(rng, network)
    before = network.magnitudes(mixture)
    for parameter in changed.parameters():
        parameter.mul_(1.5)
    return (network.magnitudes(mixture) - before).abs().amax((0, 2, 3, 4)).gt(0).tolist()


def test_vocals_and_drums_hear_each_other_and_other_hears_all(rng):
    for source, expected in enumerate([(1, 1, 0, 1), (1, 1, 0, 1), (0, 0, 1, 1)]):
        network = small()
        assert listeners(network, rng, network.tokens[source]) == list(map(bool, expected))


def test_without_the_meeting_nobody_but_the_rest_hears_another(rng):
    for source in range(3):
        network = small()
        for meeting in network.meetings:
            for parameter in meeting.attention.out_proj.parameters():
                parameter.zero_()
        expected = [index in {source, 3} for index in range(4)]
        assert listeners(network, rng, network.tokens[source]) == expected


@pytest.mark.parametrize("length", [1, 100, 112])
def test_a_short_mixture_is_heard_as_if_silence_followed(length, rng):
    network = small()
    mixture = noise(rng, 112)
    mixture[..., length:] = 0
    torch.testing.assert_close(network(mixture[..., :length]), network(mixture)[..., :length])


@pytest.mark.parametrize("output", Output)
def test_training_brings_estimates_to_their_sources(output):
    network = MagnitudeTransformer(structure({**TINY["magnitude_transformer"], "output": output}, Config))
    length = network.spec.segment
    low, high = (signals.tone(length, hz=hz, rate=8000, gain=0.3) for hz in (500.0, 2000.0))
    sources = torch.stack([high, signals.click(length, at=100), low, 0.05 * signals.noise(length)])[None]
    mixture = sources.sum(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = (network(mixture) - sources).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 2, 100), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(
        ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one sample"
    ):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ("vocals", "rest")}, "sources must be four"),
        ({"widths": ()}, "widths must be 1 to 12 numbers from 1 to 1024"),
        ({"widths": (8,) * 13}, "widths must be 1 to 12 numbers"),
        ({"widths": (0, 8)}, "widths must be 1 to 12 numbers from 1 to 1024"),
        ({"bins": 2080}, r"bins must be at most n_fft / 2 \+ 1"),
        ({"bins": 1025}, r"bins and frames must be multiples of 2\^levels"),
        ({"frames": 190}, r"bins and frames must be multiples of 2\^levels"),
        ({"token_size": 100}, "token sizes must be even, and multiples of heads"),
        ({"heads": 3, "bass_token_size": 9}, "token sizes must be even, and multiples of heads"),
        ({"hop_length": 3000}, "at most n_fft / 2"),
        ({"layers": 10**9, "iterations": -1}, "layers must be 1 to 64, .*; iterations must be 0 to 16"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
