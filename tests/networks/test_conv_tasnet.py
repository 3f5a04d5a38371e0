"""What Conv-TasNet promises beyond what every network does."""

from __future__ import annotations

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError, WeightsError
from unbraid.networks import conv_tasnet
from unbraid.networks.conv_tasnet import Config, ConvTasNet, GlobalNorm
from unbraid.zoo.keymaps.demucs_package import arguments_of

KLASS = "demucs.tasnet.ConvTasNet"
PUBLISHED = Config()


@pytest.fixture
def network():
    network = ConvTasNet(structure(TINY["conv_tasnet"], Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


@pytest.fixture
def transparent():
    """A network whose masks are 1 and 3, between a filterbank of single samples and its inverse."""
    length, channels = 6, 2
    filters = 2 * channels * length
    network = ConvTasNet(
        Config(
            sources=("once", "thrice"),
            filters=filters,
            filter_length=length,
            bottleneck_channels=5,
            hidden_channels=7,
            blocks=2,
            repeats=1,
        )
    )
    network.requires_grad_(requires_grad=False)
    each = torch.eye(channels * length)
    network.encoder.conv1d_U.weight.copy_(torch.cat([each, -each]).view(filters, channels, length))
    network.decoder.basis_signals.weight.copy_(torch.cat([each, -each]).t() / 2)
    norm, bottleneck, blocks, masks = network.separator.network
    norm.gamma.zero_()
    norm.beta.fill_(1.0)  # all frames are 1, whatever is heard,
    bottleneck.weight.fill_(1 / filters)  # all features are their mean,
    for block in blocks[0]:
        block.net[3].net[3].weight.zero_()  # and no block adds to it
    masks.weight.copy_(torch.tensor([1.0, 3.0]).repeat_interleave(filters)[:, None, None] / 5)
    return network.eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = ConvTasNet().spec
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 8 * 44100)
    assert spec.levelled
    assert not spec.fixed
    assert [spec.accepted_length(length) for length in (1, 10, 352_791)] == [10, 10, 352_800]


@pytest.mark.parametrize("length", [6, 9, 12, 300, 4000, 4001, 4002])
def test_masks_of_one_over_single_samples_give_the_mixture_back(transparent, rng, length):
    mixture = torch.randn(2, 2, length, generator=rng)
    frames = (length - 6) // 3 + 1
    covered = torch.zeros(length)
    for frame in range(frames):
        covered[3 * frame : 3 * frame + 6] += 0.5  # all but the first and last half frame: 1
    once, thrice = transparent(mixture).unbind(1)
    torch.testing.assert_close(once, covered * mixture, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(thrice, 3 * covered * mixture, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_mixture_shorter_than_a_filter_is_heard_as_if_silence_followed(network, rng, length):
    short = torch.randn(1, 2, length, generator=rng)
    whole = torch.cat([short, torch.zeros(1, 2, 4 - length)], dim=-1)
    assert network(short).equal(network(whole)[..., :length])


@pytest.mark.parametrize("size", [1, 4, 7, 100, 10_000])
@pytest.mark.parametrize("length", [4, 6, 50, 3000])
def test_how_many_frames_are_worked_on_at_once_never_changes_the_answer(
    network, rng, monkeypatch, size, length
):
    mixture = torch.randn(2, 2, length, generator=rng).double()
    expected = network.double()(mixture)
    monkeypatch.setattr(conv_tasnet, "_PIECE", size)
    torch.testing.assert_close(network(mixture), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1.0, 300.0])
def test_a_global_norm_is_exact_far_from_zero(rng, mean):
    pieces = [
        mean + offset + torch.randn(3, frames, 8, generator=rng)
        for offset, frames in ((0, 64), (2, 64), (-1, 5))
    ]
    whole = torch.cat(pieces, dim=1).double()
    expected = (whole - whole.mean((1, 2), keepdim=True)) / whole.std((1, 2), correction=0, keepdim=True)
    normed = torch.cat(GlobalNorm(8)(pieces), dim=1)
    torch.testing.assert_close(normed.double(), expected, rtol=0, atol=5e-7 * (1 + mean))


def test_levels_of_half_precision_do_not_overflow(rng):
    piece = (1000 * torch.randn(1, 64, 8, generator=rng)).half()  # whose squares float16 cannot hold
    (normed,) = GlobalNorm(8).half()([piece])
    assert normed.dtype == torch.float16
    assert normed.float().square().mean().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(network, signal, dtype):
    assert network.to(dtype)(signal(1000)[None].to(dtype)).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 1000), (1, 1, 1000), (1, 2, 2, 1000)])
def test_another_shape_is_refused_with_the_one_that_works(network, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"filter_length": 19}, "filter_length must be even"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"blocks": 10**9}, "blocks must be 1 to 12"),
        ({"repeats": 0, "filters": -1}, "filters must be .*; repeats must be"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)


@pytest.mark.parametrize(
    ("in_tuple", "kwargs"),
    [
        (True, {"audio_channels": 2, "samplerate": 44100, "X": 10}),
        (True, {"audio_channels": 2, "X": 10, "C": 4}),
        (False, {"X": 10, "sources": ["drums", "bass", "other", "vocals"]}),
        (False, {"X": 10, "sources": 4, "segment_length": 352_800, "norm_type": "gLN"}),
    ],
)
def test_packages_of_both_generations_describe_the_published_network(in_tuple, kwargs):
    arguments = arguments_of(KLASS, in_tuple=in_tuple)
    assert structure(arguments.configuration((), kwargs), Config) == PUBLISHED


def test_defaults_are_those_of_the_package():
    first = structure(arguments_of(KLASS, in_tuple=True).configuration((), {}), Config)
    assert (first.blocks, first.audio_channels) == (8, 1)
    second = structure(arguments_of(KLASS).configuration((["a", "b"],), {}), Config)
    assert (second.blocks, second.audio_channels, second.sources) == (8, 2, ("a", "b"))


@pytest.mark.parametrize("kwargs", [{"causal": True}, {"norm_type": "cLN"}, {"mask_nonlinear": "softmax"}])
def test_a_package_that_asks_for_another_network_is_refused(kwargs):
    with pytest.raises(WeightsError, match=rf"does not do: {next(iter(kwargs))} = "):
        arguments_of(KLASS).configuration((), kwargs)
