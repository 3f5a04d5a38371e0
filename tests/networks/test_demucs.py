"""What Demucs promises beyond what every network does, over all three generations."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch

import signals
from networks.tiny import DEMUCS_V1, DEMUCS_V3, lively
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.demucs import Config, Demucs

SMALL = {"channels": 8, "depth": 4, "segment": Fraction(1, 4)}
GENERATIONS = {
    "first": {**SMALL, **DEMUCS_V1},
    "second": SMALL,
    "third": {**SMALL, **DEMUCS_V3, "norm_starts": 2},
}


def network_of(**options):
    network = Demucs(Config(**options))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


@pytest.fixture(params=GENERATIONS.values(), ids=GENERATIONS)
def network(request):
    return network_of(**request.param)


def noise(length, *, batch=1, channels=2):
    return 0.1 * torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize(
    ("options", "segment", "context"),
    [(DEMUCS_V1, 1_764_000 + 10_920, 5460), ({}, 1_764_000 + 5460, 2730), (DEMUCS_V3, 1_764_000, 0)],
)
def test_it_says_of_itself_what_the_engine_must_know(options, segment, context):
    with torch.device("meta"):
        spec = Demucs(Config(**options)).spec
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert (spec.sample_rate, spec.channels) == (44100, 2)
    assert (spec.segment, spec.context) == (segment, context)
    assert spec.levelled
    assert not spec.fixed


@pytest.mark.parametrize("length", [1, 2, 3, 400, 1234, 3000])
def test_another_length_is_heard_with_silence_on_both_sides(length):
    network = network_of(**SMALL)
    accepted = network.spec.accepted_length(length)
    assert accepted > length
    left = (accepted - length) // 2
    mixture = noise(length)
    framed = torch.nn.functional.pad(mixture, (left, accepted - length - left))
    assert network(mixture).equal(network(framed)[..., left : left + length])


@pytest.mark.parametrize("length", [1, 2, 3, 400, 1234, 3000])
def test_every_length_of_one_sample_and_more_gives_finite_estimates(network, length):
    estimates = network(noise(length, batch=2))
    assert estimates.shape == (2, 4, 2, length)
    assert estimates.isfinite().all()


@pytest.mark.parametrize("context", [0, 1, 2])
@pytest.mark.parametrize("oversampled", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_there_are_estimates_exactly_between_the_edges_that_the_spec_names(context, oversampled, depth):
    network = network_of(
        channels=4, depth=depth, context=context, oversampled=oversampled, segment=Fraction(1, 8)
    )
    spec = network.spec
    length = spec.accepted_length(2 * spec.context + 100)
    heard = network(noise(length)).abs().sum((0, 1, 2)).nonzero().flatten()
    assert (heard[0], heard[-1]) == (spec.context, length - spec.context - 1)


def test_without_a_recurrence_a_segment_says_what_a_longer_one_says():
    """Up to twice the context from its edges, where the transposed convolutions lack a neighbour."""
    network = network_of(**{**SMALL, **DEMUCS_V1, "lstm_layers": 0}).double()
    start, length = 4**4, network.spec.accepted_length(3000)  # a grid starts anew each 4⁴ samples
    longer = noise(network.spec.accepted_length(length + 2 * start)).double()
    alone = network(longer[..., start : start + length])
    inside = network(longer)[..., start : start + length]
    sure = slice(2 * network.spec.context, -2 * network.spec.context)
    torch.testing.assert_close(alone[..., sure], inside[..., sure], rtol=0, atol=1e-12)
    assert alone[..., sure].shape[-1] > 1000


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(network, signal):
    assert network(signal(3000)[None]).isfinite().all()


def test_the_third_generation_follows_the_mixtures_level():
    network = network_of(**GENERATIONS["third"]).double()
    mixture = noise(4000).double()
    louder = network(8 * mixture + 0.25)
    # The epsilon beside a deviation of 0.07 lets go of one part in seven thousand.
    torch.testing.assert_close(louder, 8 * network(mixture) + 0.25, rtol=0, atol=2e-3)


def test_one_mono_network_and_one_source_work_too():
    network = network_of(**SMALL, audio_channels=1, sources=("vocals",))
    assert network(noise(2000, channels=1)).shape == (1, 1, 1, 2000)


@pytest.mark.parametrize("shape", [(2, 1000), (1, 1, 1000), (1, 2, 2, 1000), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(network, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 0}, "depth must be 1 to 8, not 0"),
        ({"depth": 10**9}, "depth must be 1 to 8"),
        ({"growth": float("nan")}, "growth must be 1 to 8, not nan"),
        ({"segment": Fraction(10**18)}, "segment must be 0 to 600"),
        ({"lstm_layers": 10**6, "dconv_depth": 10**6}, "lstm_layers must be .*; dconv_depth must be"),
        ({"divisor": 0.0}, "divisor must be"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
        ({"channels": 4096}, "at most 16384 channels"),
        ({"growth": 8.0, "depth": 8}, "at most 16384 channels"),
        ({"channels": 2, "dconv_depth": 1}, "at least dconv_comp"),
        ({"channels": 6, "norm_starts": 0}, "norm_groups must divide"),
        ({"kernel_size": 4, "context": 2}, r"kernel_size must be at least 2 · context \+ 1"),
        ({"kernel_size": 7}, "must be even where the mixture is oversampled"),
        ({"stride": 3}, "must be even where the mixture is oversampled"),
        ({"kernel_size": 2}, "stride of 4 skips samples with a kernel of 2"),
        ({"segment": Fraction(1, 10)}, "segment must hold the 8874 samples"),
        ({"stride": 64, "kernel_size": 64}, "segment must hold the"),
        ({"channels": 8, "dconv_depth": 1, "dconv_attn": 0}, "4 heads for 2 channels"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words), torch.device("meta"):
        Demucs(Config(**change))


@pytest.mark.parametrize("growth", [1, 1.5, 2, 3])
def test_channels_grow_level_by_level_rounded_down(growth):
    widths = Config(channels=5, growth=growth, depth=4, segment=Fraction(40)).widths
    assert widths[:2] == (2, 5)
    for above, below in itertools.pairwise(widths[1:]):
        assert below == int(growth * above)
