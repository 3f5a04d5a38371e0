"""What Spleeter promises beyond what every network does."""

from __future__ import annotations

import itertools

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.spleeter import Activation, Config, Down, Spleeter, Up


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = Spleeter(structure({**TINY["spleeter"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def told(*logits, **changes):
    """A small network each of whose sources hears the same everywhere, whatever is played."""
    network = small(sources=[f"source {number}" for number in range(len(logits))], **changes)
    for stem, logit in zip(network.stems, logits, strict=True):
        torch.nn.init.zeros_(stem.output.weight)
        torch.nn.init.constant_(stem.output.bias, logit)
    return network


def noise(rng, length, *, batch=1):
    return 0.3 * torch.randn(batch, 2, length, generator=rng, dtype=torch.float64)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = Spleeter().spec
    assert spec.sources == ("vocals", "accompaniment")
    look = 512 * 1024
    assert (spec.sample_rate, spec.channels, spec.segment, spec.context) == (44100, 2, 4 * look, look)
    with torch.device("meta"):
        assert Spleeter(Config(wiener_iters=1)).spec.segment == 6 * look
    assert spec.limit == 3600 * 44100
    assert not spec.levelled


@pytest.mark.parametrize("options", [{}, {"softmax": True}, {"exponent": 1.0}, {"hop_length": 24}])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 192, 193, 1000])
@torch.no_grad()
def test_estimates_add_up_to_what_of_the_mixture_is_below_the_edge(options, length, rng):
    mixture = noise(rng, length, batch=2)
    estimates = small(extension="average", **options)(mixture)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-12)
    below = small(extension="zeros", **options)(mixture)
    lone = told(0.0, extension="zeros", **options)(mixture)  # one source has all there is
    torch.testing.assert_close(below.sum(1), lone[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 17, 193, 1000])
@torch.no_grad()
def test_filtered_estimates_add_up_but_for_the_noise_that_the_filter_assumes(length, rng):
    mixture = noise(rng, length, batch=2)
    below = told(0.0, extension="zeros")(mixture)
    estimates = small(wiener_iters=2)(mixture)
    assert (estimates.sum(1) - below[:, 0]).norm() < 0.1 * below.norm()


@pytest.mark.parametrize(("hz", "left"), [(500, 1.0), (2500, 1.0), (3500, 0.0)])
@torch.no_grad()
def test_nothing_is_left_above_the_edge_unless_the_mask_is_extended(hz, left):
    mixture = signals.tone(4000, hz=hz, rate=8000).double()[None]  # bins end at 24 / 64 of the rate: 3 kHz
    share = {}
    for extension in ("zeros", "average"):
        estimates = told(0.0, 0.0, extension=extension)(mixture)
        share[extension] = (estimates[0, 0].norm() / mixture.norm()).item()
    assert share["zeros"] == pytest.approx(left / 2, abs=0.01)
    assert share["average"] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
@torch.no_grad()
def test_masks_are_in_proportion_to_a_power_of_what_each_source_hears(exponent, rng):
    mixture, logits = noise(rng, 500), torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
    for softmax in (True, False):
        heard = logits.softmax(0) if softmax else logits.sigmoid()
        shares = heard**exponent / (heard**exponent).sum()
        estimates = told(*logits.tolist(), softmax=softmax, exponent=exponent)(mixture)[0]
        # Near the end the last windows are so small that the published 1e-10 shows.
        wanted = shares[:, None, None] * mixture
        torch.testing.assert_close(estimates[..., :-16], wanted[..., :-16], rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_filter_gives_a_lone_source_the_lower_part_of_the_mixture(rng):
    mixture = noise(rng, 700)
    masked = told(0.0, extension="zeros")(mixture)
    filtered = told(0.0, wiener_iters=1)(mixture)
    assert (filtered - masked).norm() < 0.02 * masked.norm()


@torch.no_grad()
def test_a_u_net_looks_once_at_each_piece_and_never_at_silence(rng):
    network = small()
    looks = []
    network.stems[0].register_forward_hook(lambda _module, given, _answer: looks.append(given[0].shape[0]))
    look, silence, hop = network.config.look, network.config.n_fft, network.config.hop_length
    for length in (look - silence, look - silence + hop, 3 * look - silence):
        network(noise(rng, length))
        assert looks == [1] * (-(-(length + silence) // look))
        looks.clear()
    network(torch.cat([torch.zeros(1, 2, 2 * look).double(), noise(rng, look)], dim=-1))
    assert looks == [1, 1]


@pytest.mark.parametrize("extension", ["zeros", "average"])
@pytest.mark.parametrize("looks", [0.3, 1, 4, 4.01, 9.7])
@torch.no_grad()
def test_segments_give_the_answer_for_the_whole_track(extension, looks, rng):
    network = small(extension=extension).float()
    mixture = noise(rng, int(looks * network.config.look)).float()[0]
    stream = Stream(EagerBackend(network, network.spec), Plan.for_spec(network.spec, overlap=0))
    estimates = torch.cat([stream.push(mixture), stream.finish()], dim=-1)
    torch.testing.assert_close(estimates, network(mixture[None])[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_looks_of_the_u_nets_do_not_know_of_each_other(rng):
    network = small(extension="zeros")
    config = network.config
    magnitudes = torch.rand(1, 2, 3 * config.frames, config.bins, generator=rng, dtype=torch.float64)
    together = network.magnitudes(magnitudes)
    apart = torch.cat([network.magnitudes(look) for look in magnitudes.split(config.frames, dim=2)], dim=3)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("extension", ["zeros", "average"])
@torch.no_grad()
def test_silence_stays_silence_and_a_click_in_it_hurts_nothing(extension):
    network = small(extension=extension)
    assert not network(signals.silence(333).double()[None]).any()
    assert network(signals.click(333, at=100).double()[None]).isfinite().all()


def test_norms_stand_still_in_training(rng):
    network, mixture = small(), noise(rng, 600)
    before = {name: value.clone() for name, value in network.named_buffers()}
    with torch.no_grad():
        torch.testing.assert_close(network.train()(mixture), network.eval()(mixture), rtol=0, atol=0)
    assert before
    assert all(value.equal(before[name]) for name, value in network.named_buffers())


# The published library's "same" padding: at place i a kernel's tap t sees 2i + t − 1.


@pytest.mark.parametrize("tap", range(5))
@torch.no_grad()
def test_halving_puts_one_zero_before_and_two_behind(tap):
    level = Down(1, 1, Activation.RELU)
    level.conv.weight.zero_()
    level.conv.weight[0, 0, tap, 1] = 1.0
    level.conv.bias.zero_()
    x = torch.arange(1.0, 49.0).view(1, 1, 8, 6)
    halved = level(x)[0][0, 0]
    expected = [
        [x[0, 0, row, 2 * i].item() if 0 <= row < 8 else 0.0 for i in range(3)]
        for row in range(tap - 1, tap + 7, 2)
    ]
    assert halved.tolist() == expected


@pytest.mark.parametrize("tap", range(5))
@pytest.mark.parametrize("channels", [1, 2])
@torch.no_grad()
def test_doubling_cuts_one_before_and_two_behind(tap, channels):
    level = Up(1, channels, Activation.ELU)
    level.norm = torch.nn.Identity()
    level.conv.weight.zero_()
    level.conv.weight[0, :, tap, 1] = 1.0
    level.conv.bias.zero_()
    x = torch.arange(1.0, 13.0).view(1, 1, 4, 3)
    doubled = level(x)[0]
    expected = torch.zeros(8, 6)
    for row, column in itertools.product(range(4), range(3)):
        if 0 <= 2 * row + tap - 1 < 8:
            expected[2 * row + tap - 1, 2 * column] = x[0, 0, row, column]
    assert doubled.shape == (channels, 8, 6)
    assert all(channel.equal(expected) for channel in doubled)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (5, 2), (8, 6)])
@torch.no_grad()
def test_a_single_channel_is_doubled_as_many_are(height, width, rng):
    one, two = Up(3, 1, Activation.ELU), Up(3, 2, Activation.ELU)
    one.load_state_dict(lively(one.state_dict()))
    two.load_state_dict(
        {
            name: value.repeat_interleave(2, 1 if value.ndim > 1 else 0)
            for name, value in one.state_dict().items()
        }
    )
    x = torch.randn(2, 3, height, width, generator=rng, dtype=torch.float64)
    single, double = one.double()(x), two.double()(x)
    torch.testing.assert_close(single.expand_as(double), double, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bins": 20}, "frames and bins must be halved evenly by each width"),
        ({"frames": 20}, "frames and bins must be halved evenly by each width"),
        ({"bins": 40}, "bins must be at most n_fft / 2"),
        ({"widths": []}, "widths must be 2 to 10 numbers from 1 to 16384"),
        ({"widths": [4]}, "widths must be 2 to 10"),
        ({"widths": [4] * 11}, "widths must be 2 to 10"),
        ({"widths": [4, 0, 4]}, "numbers from 1 to 16384"),
        ({"widths": [4, 4, 20000]}, "numbers from 1 to 16384"),
        ({"frames": 8, "hop_length": 8}, "frames must reach further than a single one"),
        ({"hop_length": 33}, "hop_length at most n_fft / 2"),
        ({"exponent": 0.5}, "exponent must be 1 to 8"),
        ({"wiener_iters": -1}, "wiener_iters must be 0 to 100"),
        ({"audio_channels": 0}, "audio_channels must be 1 to 64"),
        ({"encoder": "gelu"}, "gelu"),
        ({"extension": "ones"}, "ones"),
        ({"sources": [str(number) for number in range(65)]}, "at most 64"),
    ],
)
def test_numbers_that_make_no_network_are_refused_with_the_reason(changes, words):
    with pytest.raises(ConfigError, match=words):
        structure({**TINY["spleeter"], **changes}, Config)


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 3, 100), (1, 2, 0), (1, 1, 2, 100)])
def test_a_mixture_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match="2 channels and at least one sample"):
        small()(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("shorter", [0, 37, 251])
@torch.no_grad()
def test_looks_that_only_the_context_is_heard_of_are_spared(shorter):
    config = Config(n_fft=64, hop_length=16, frames=8, bins=16, widths=(4, 6))
    network, looks = Spleeter(config).eval(), []

    def inner(piece):
        looks.append(piece)
        return network.inner(piece)

    edge = network.spec.context
    mixture = torch.randn(1, 2, network.spec.segment - shorter)
    whole, all_looks = network.around(inner, mixture), len(looks)
    spared = network.spared(inner, mixture)
    assert torch.equal(spared[..., edge:-edge], whole[..., edge:-edge])
    assert not torch.equal(spared, whole)
    assert len(looks) - all_looks == all_looks - 2
