"""What Hybrid Demucs promises beyond what every network does."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.hdemucs import Config, HDemucs

KINDS = {
    "complex": {},
    "magnitude": {"cac": False},
    "filtered": {"cac": False, "wiener_iters": 2, "end_iters": 2, "wiener_residual": True},
    "fading phase": {"cac": False, "wiener_iters": -1, "end_iters": -1},
    "late": {"cac": False, "hybrid_old": True, "norm_starts": 999},
    "bands": {"norm_starts": 999, "multi_freqs": (0.1, 0.3), "multi_freqs_depth": 1},
    "branches in decoders, too": {"dconv_mode": 3},
    "without an embedding": {"freq_emb": 0.0},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def network(request):
    network = HDemucs(structure({**TINY["hdemucs"], **request.param}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = HDemucs().spec
    assert spec.sources == ("drums", "bass", "other", "vocals")
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 1_764_000)
    assert spec.levelled
    assert spec.accepted_length(12_345) == 12_345


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 129, 1001, 3000])
def test_a_mixture_of_any_length_is_taken(network, rng, length):
    estimates = network(torch.randn(2, 2, length, generator=rng))
    assert estimates.shape == (2, 2, 2, length)
    assert estimates.isfinite().all()


def test_every_parameter_of_every_kind_gets_a_gradient(network, rng):
    estimates = network.train()(torch.randn(2, 2, 1000, generator=rng))
    (estimates * torch.randn(estimates.shape, generator=rng)).sum().backward()
    assert not [name for name, value in network.named_parameters() if not value.grad.any()]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_every_kind_is_close_in_half_precision(network, rng, dtype, tolerance):
    mixture = 0.1 * torch.randn(1, 2, 1000, generator=rng)
    whole = network(mixture)
    half = network.to(dtype)(mixture.to(dtype)).float()
    assert (half - whole).norm() < tolerance * whole.norm()


def test_training_gives_what_evaluation_gives(network, rng):
    mixture = torch.randn(1, 2, 1000, generator=rng)
    torch.testing.assert_close(network.train()(mixture), network.eval()(mixture), rtol=0, atol=1e-6)


def test_a_configuration_of_every_kind_survives_being_written_down(network):
    assert structure(unstructure(network.config), Config) == network.config


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(network, signal):
    assert network(signal(1000)[None]).isfinite().all()


def test_louder_in_is_louder_out(network, rng):
    mixture = torch.randn(1, 2, 1000, generator=rng)
    torch.testing.assert_close(network(100 * mixture), 100 * network(mixture), rtol=1e-3, atol=1e-2)


def test_one_sample_of_one_channel_is_taken():
    network = HDemucs(structure({**TINY["hdemucs"], "audio_channels": 1}, Config)).eval()
    assert network(torch.ones(1, 1, 1)).isfinite().all()


def test_without_bands_their_depth_says_nothing():
    assert Config(multi_freqs_depth=3) == Config()


def test_a_filter_of_no_magnitudes_or_of_no_rounds_says_nothing():
    assert Config(wiener_iters=3, end_iters=3, wiener_residual=True) == Config()
    assert Config(cac=False, wiener_residual=True) == Config(cac=False)


@pytest.mark.parametrize("n_fft", [2048, 4096])
def test_the_branches_meet_in_step_whatever_the_frame(rng, n_fft):
    network = HDemucs(Config(n_fft=n_fft, channels=16, growth=1, rescale=0.1)).eval()
    assert network(torch.randn(1, 2, 9999, generator=rng)).shape == (1, 4, 2, 9999)


@pytest.mark.parametrize("shape", [(2, 1000), (1, 1, 1000), (1, 2, 2, 1000), (1, 2, 0)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    network = HDemucs(structure(TINY["hdemucs"], Config))
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 10**9}, "depth must be 2 to 10"),
        ({"depth": 4}, "depth must be more than 4"),
        ({"n_fft": 2**62}, "n_fft must be 16 to 65536"),
        ({"n_fft": 4096 + 8}, "a multiple of 4 of them where the branches meet"),
        ({"n_fft": 3072}, "a multiple of 4 of them where the branches meet"),
        ({"n_fft": 16}, "more than kernel_size bins at first"),
        ({"channels": 3}, "channels must be at least dconv_comp"),
        ({"channels": 4096, "growth": 8}, "at most 65536 channels"),
        ({"kernel_size": 4}, "kernel_size twice the stride"),
        ({"time_stride": 3}, "time_stride must be even"),
        ({"norm_groups": 5}, "multiples of norm_groups"),
        ({"channels": 12, "growth": 1, "norm_groups": 3}, "with attention must be multiples of 4"),
        ({"multi_freqs": (0.1, 0.3), "multi_freqs_depth": 5}, "multi_freqs_depth must be 1 or more and end"),
        ({"multi_freqs": (0.1, 0.3), "multi_freqs_depth": 0}, "multi_freqs_depth must be 1 or more and end"),
        ({"multi_freqs": (0.1, 0.3), "norm_starts": 1}, "multi_freqs_depth must be 1 or more and end"),
        ({"multi_freqs": (0.3, 0.1)}, "multi_freqs must rise"),
        ({"multi_freqs": (0.001,)}, "leave each band at least one bin"),
        ({"multi_freqs": (0.1, 1.0)}, "numbers between 0 and 1"),
        ({"multi_freqs": (float("nan"),)}, "numbers between 0 and 1"),
        ({"multi_freqs": (0.5,) * 100}, "at most 8 numbers"),
        ({"segment": Fraction(10**18)}, "segment must be 0 to 600"),
        ({"cac": False, "wiener_iters": 10**9}, "wiener_iters must be -1 to 100"),
        ({"cac": False, "end_iters": -2}, "end_iters must be -1 to 100"),
        ({"dconv_mode": 4}, "dconv_mode must be 0 to 3"),
        ({"sources": tuple(map(str, range(100)))}, "sources must be at most 64, not 100"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
