"""What BSRNN promises beyond what every network does, and the stored answers of its published class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import signals
from networks.tiny import TINY, Inner, lively
from reference.bsrnn_cases import CASES, OURS, mixture
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.bsrnn import BASS_BANDS, BSRNN, DRUMS_BANDS, VOCALS_BANDS, Config

GOLDEN = Path(__file__).parents[1] / "golden/bsrnn.npz"
# Where bands end and how wide they are until there, in hertz; section IV.B of the paper.
HIGH = [(4000, 250), (8000, 500), (16_000, 1000)]
STEPS = {
    "vocals": (VOCALS_BANDS, [(1000, 100), *HIGH, (20_000, 2000)]),
    "bass": (BASS_BANDS, [(500, 50), (1000, 100), (4000, 500), (8000, 1000), (16_000, 2000)]),
    "drums": (DRUMS_BANDS, [(1000, 50), (2000, 100), *HIGH]),
}


def small(**changes):
    """A network in float64, all of whose branches are alive."""
    network = BSRNN(structure({**TINY["bsrnn"], **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def noise(network, rng, *, length=None, batch=1):
    shape = (batch, network.spec.channels, length or network.spec.segment)
    return 0.1 * torch.randn(shape, generator=rng, dtype=torch.float64)


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@torch.no_grad()
def test_stored_answers_of_the_published_class_agree(case):
    network = BSRNN(Config(**OURS, **case.config)).eval()
    network.load_state_dict(lively(network.state_dict()))
    signal, expected = mixture(network.spec.channels), torch.from_numpy(np.load(GOLDEN)[case.name])
    assert (network(signal.float())[:, 0] - expected).norm() < 1e-5 * expected.norm()
    assert (network.double()(signal)[:, 0] - expected).norm() < 1e-12 * expected.norm()


@pytest.mark.parametrize(("bands", "steps"), STEPS.values(), ids=STEPS.keys())
def test_bands_end_where_the_paper_says(bands, steps):
    ends, low = [], 0
    for high, step in steps:
        ends += range(low + step, high + 1, step)
        low = high
    counts = [-(-end * 2048 // 44100) for end in ends]  # bins below that frequency
    assert np.cumsum(bands).tolist() == [*counts, 1025]


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec, free = BSRNN().spec, BSRNN(Config(joint=False)).spec
    assert (spec.sources, spec.sample_rate, spec.channels) == (("vocals",), 44100, 2)
    assert (spec.segment, spec.fixed, spec.limit) == (262 * 512, True, 262 * 512)
    assert (free.segment, free.fixed, free.limit) == (262 * 512, False, 60 * 44100)


@pytest.mark.parametrize("length", [1, 31, 200])
def test_a_short_mixture_is_heard_as_if_silence_followed(length, rng):
    network = small()
    mixture = noise(network, rng)
    mixture[..., length:] = 0
    torch.testing.assert_close(network(mixture[..., :length]), network(mixture)[..., :length])


def test_a_mixture_longer_than_joint_norms_know_is_refused(rng):
    network = small()
    with pytest.raises(ShapeError, match="has 321 samples; this BSRNN takes at most 320"):
        network(noise(network, rng, length=321))


def test_norms_of_single_frames_leave_the_length_free(rng):
    network = small(joint=False)
    for length in (1, 100, 1000):
        assert network(noise(network, rng, length=length)).shape == (1, 1, 2, length)


def test_channels_that_are_apart_do_not_hear_each_other(rng):
    network = small(apart=True, joint=False)
    mixture = noise(network, rng, length=500)
    swapped = network(mixture.flip(1))
    torch.testing.assert_close(swapped.flip(2), network(mixture))
    mixture[:, 1] = 0
    torch.testing.assert_close(swapped[:, :, 1], network(mixture)[:, :, 0])


def test_a_mask_of_one_gives_the_mixture(rng):
    network = small()
    mixture = noise(network, rng, batch=2)

    def one(features):
        mask = torch.zeros_like(features)
        mask[:, ::2] = 1  # the real parts
        return (mask,)

    # The level is taken off with its deviation and a little more, and put back with its deviation.
    torch.testing.assert_close(network.around(one, mixture)[:, 0], mixture, rtol=0, atol=1e-5)


# The exporter says so of every LSTM.
@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")
@pytest.mark.parametrize("joint", [True, False])
def test_the_layers_can_be_recorded_as_a_graph(joint, rng):
    network = small(joint=joint).float()
    features = torch.randn(1, 4, 33, 21, generator=rng)
    exported = torch.export.export(Inner(network), (features,)).module()
    torch.testing.assert_close(exported(features), network.inner(features))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small().float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ("a", "b")}, "there must be one source, not 2"),
        ({"bands": (1000, 24)}, "bands must hold 1025 bins together, .* not 1024"),
        ({"bands": ()}, "each of one bin or more"),
        ({"hop_length": 1025}, "hop_length at most n_fft / 2"),
        ({"frames": 2**20, "depth": 0}, "frames must be .*; depth must be"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)
