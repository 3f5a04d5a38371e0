"""What Wave-U-Net promises beyond what every network does."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.wave_u_net import Config, Interpolation, Output, Upsampling, WaveUNet


def small(**changes):
    """A small network in float64, all of whose branches are alive."""
    network = WaveUNet(structure({**TINY["wave_u_net"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


KINDS = [
    pytest.param(
        {"context": context, "output": output, "upsampling": upsampling, "output_length": 64}, id=name
    )
    for context, output, upsampling in itertools.product((True, False), Output, Upsampling)
    for name in [f"{'context' if context else 'zeros'}-{output.value}-{upsampling.value}"]
]


def noise(network, rng, *, batch=1):
    spec = network.spec
    return 0.3 * torch.randn(batch, spec.channels, spec.segment, generator=rng, dtype=torch.float64)


def trusted(network, estimates):
    """The samples that the engine uses."""
    edge = network.spec.context
    return estimates[..., edge : estimates.shape[-1] - edge]


@pytest.mark.parametrize(
    ("wanted", "bottom"),
    [(1, 5), (5, 5), (6, 6), (4101, 6), (4102, 7), (16_384, 9), (16_389, 9), (16_390, 10)],
)
def test_the_output_is_the_shortest_that_comes_out_even(wanted, bottom):
    config = Config(output_length=wanted)
    assert config.lengths[-1] == bottom
    assert config.lengths[0] == 4096 * bottom - 4095 * 5  # 2n - 1 - 4, twelve times
    assert config.input_length == 4096 * (bottom + 14) + 4095 * 13  # 2n - 1 + 14, twelve times


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = WaveUNet().spec
        plain = WaveUNet(Config(context=False)).spec
    assert spec.sources == ("accompaniment", "vocals")
    assert (spec.sample_rate, spec.channels, spec.segment, spec.context) == (22050, 2, 147_443, 65_527)
    assert spec.segment - 2 * spec.context == 16_389
    assert spec.fixed
    assert not spec.levelled
    assert (plain.segment, plain.context) == (16_384, 0)


def straightforward(network, mixture):
    """Estimates as the paper's table reads: every convolution in full, then decimation and cropping."""
    config = network.config
    margin, up_margin = (0, 0) if config.context else (config.kernel_size // 2, config.up_kernel_size // 2)

    def convolved(layer, x, padding):
        return F.leaky_relu(F.conv1d(x, layer.weight, layer.bias, padding=padding), 0.2)

    def cropped(x, length):
        return x[..., (x.shape[-1] - length) // 2 :][..., :length]

    x, skips = mixture, []
    for layer in network.down:
        skips.append(convolved(layer, x, margin))
        x = skips[-1][..., ::2]
    x = convolved(network.bottleneck, x, margin)
    for interpolation, layer in zip(network.interpolation, network.up, strict=True):
        x = interpolation(x)
        x = convolved(layer, torch.cat([cropped(skips.pop(), x.shape[-1]), x], 1), up_margin)
    heard = cropped(mixture, x.shape[-1])
    features = torch.cat([heard, x], 1)
    sources = [torch.tanh(F.conv1d(features, layer.weight, layer.bias)) for layer in network.output]
    if config.output is Output.DIFFERENCE:
        sources.append((heard - sum(sources)).clamp(-1, 1))
    return torch.stack(sources, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_that_are_not_computed_were_not_needed(kind, rng):
    network = small(**kind)
    mixture = noise(network, rng, batch=2)
    expected = straightforward(network, mixture)
    estimates = network(mixture)
    assert expected.shape[-1] == network.config.lengths[0] >= 64
    torch.testing.assert_close(trusted(network, estimates), expected, rtol=1e-12, atol=1e-12)
    edge = network.spec.context
    assert not estimates[..., :edge].any()
    assert not estimates[..., estimates.shape[-1] - edge :].any()


def test_with_context_a_delayed_mixture_gives_delayed_estimates(rng):
    network = small()
    step = 2**network.config.levels  # within it, samples are treated unlike
    longer = 0.3 * torch.randn(1, 2, network.spec.segment + step, generator=rng, dtype=torch.float64)
    early = trusted(network, network(longer[..., :-step]))
    late = trusted(network, network(longer[..., step:]))
    torch.testing.assert_close(early[..., step:], late[..., :-step], rtol=1e-12, atol=1e-12)


def test_the_context_is_exactly_what_the_estimates_depend_on(rng):
    network = small(output="direct")
    mixture = noise(network, rng).requires_grad_()
    (trusted(network, network(mixture)) ** 2).sum().backward()
    assert mixture.grad[..., 0].all()
    assert mixture.grad[..., -1].all()


@pytest.mark.parametrize("length", [1, 66, 67, 68, 1003])
@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_the_engine_uses_no_sample_of_the_context(length, overlap, rng):
    network = small().float()
    for parameter in network.output.parameters():
        parameter.data.mul_(0.05)  # so that nothing is clipped
    mixture = 0.1 * torch.randn(2, length, generator=rng)
    stream = Stream(EagerBackend(network, network.spec), Plan.for_spec(network.spec, overlap=overlap))
    estimates = torch.cat([stream.push(mixture), stream.finish()], dim=-1)
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


@pytest.mark.parametrize("context", [True, False])
def test_without_weights_a_source_is_its_bias_and_the_last_one_the_rest(context, rng):
    network = small(context=context, output_length=64).requires_grad_(requires_grad=False)
    for parameter in network.parameters():
        parameter.zero_()
    for index, layer in enumerate(network.output):
        layer.bias.copy_(torch.tensor([0.1, -0.2]) * (index + 1))
    mixture = noise(network, rng)
    vocals, drums, rest = trusted(network, network(mixture))[0]
    bias = torch.tensor([[0.1], [-0.2]], dtype=torch.float64)
    torch.testing.assert_close(vocals, torch.tanh(bias).expand_as(vocals))
    torch.testing.assert_close(drums, torch.tanh(2 * bias).expand_as(drums))
    heard = trusted(network, mixture)[0]
    torch.testing.assert_close(rest, (heard - torch.tanh(bias) - torch.tanh(2 * bias)).clamp(-1, 1))


def test_the_rest_is_clipped_in_evaluation_alone(rng):
    network = small()
    mixture = 5 * noise(network, rng)
    free, clipped = network.train()(mixture), network.eval()(mixture)
    torch.testing.assert_close(trusted(network, free).sum(1), trusted(network, mixture))
    assert free[:, -1].abs().max() > 1
    torch.testing.assert_close(clipped[:, -1], free[:, -1].clamp(-1, 1))
    torch.testing.assert_close(clipped[:, :-1], free[:, :-1])


@pytest.mark.parametrize(
    ("context", "upsampling", "expected"),
    [
        (True, "linear", [1, 3, 5, 7, 9]),
        (False, "linear", [1, 3, 5, 7, 9, 9]),
        (True, "learned", [1, 2, 5, 6, 9]),
        (False, "learned", [1, 2, 5, 6, 9, 6.75]),
    ],
)
def test_between_two_samples_comes_their_mean(context, upsampling, expected):
    config = Config(context=context, upsampling=Upsampling(upsampling))
    interpolation = Interpolation(1, config)
    if interpolation.weight is not None:
        torch.nn.init.constant_(interpolation.weight, torch.tensor(0.75).logit())
    doubled = interpolation(torch.tensor([[[1.0, 5.0, 9.0]]]))
    torch.testing.assert_close(doubled, torch.tensor([[expected]], dtype=torch.float32))


@pytest.mark.parametrize("context", [True, False])
def test_a_short_mixture_is_heard_as_if_silence_followed(context, rng):
    network = small(context=context, output_length=64)
    mixture = noise(network, rng)
    for length in (0, 1, network.spec.segment - 1):
        whole = mixture.clone()
        whole[..., length:] = 0
        assert network(mixture[..., :length]).equal(network(whole)[..., :length])


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_estimates_within_full_scale(signal):
    network = small().float()
    estimates = network(signal(network.spec.segment)[None])
    assert estimates.abs().max() <= 1


def test_a_longer_mixture_is_refused_with_the_length_that_works():
    network = small()
    with pytest.raises(ShapeError, match=f"takes at most {network.spec.segment} at once"):
        network(torch.zeros(1, 2, network.spec.segment + 1))


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel_size": 14}, "kernel_size and up_kernel_size must be odd"),
        ({"up_kernel_size": 4}, "kernel_size and up_kernel_size must be odd"),
        ({"context": False, "output_length": 16385}, r"a multiple of 2\^levels"),
        ({"sources": ("vocals",)}, "a difference needs two sources"),
        ({"levels": 10**9}, "levels must be 1 to 16"),
        ({"output_length": 2**62, "channels": 0}, "output_length must be .*; channels must be"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
