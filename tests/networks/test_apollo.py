"""What Apollo promises beyond what every network does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import signals
from networks.inner import require_real
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.apollo import Apollo, Config

SMALL = structure(TINY["apollo"], Config)


@pytest.fixture
def network():
    """A small network, all of whose branches are alive, with true rotations."""
    network = Apollo(SMALL)
    state = network.state_dict()
    rotations = {name: value for name, value in state.items() if name.endswith("_freq")}
    network.load_state_dict({**lively(state), **rotations})
    return network.eval()


def noise(rng, length, *, batch=2):
    return 0.3 * torch.randn(batch, 2, length, generator=rng)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        spec = Apollo().spec
    assert (spec.sample_rate, spec.channels, spec.segment) == (44100, 2, 3 * 44100)
    assert spec.sources == ("restored",)
    assert spec.context == 54 * 441 + 882
    assert spec.limit == 3600 * 44100
    assert not spec.fixed
    assert not spec.levelled


def test_there_are_eighty_bands_of_all_bins():
    sizes = Config().band_sizes
    assert sizes == [5] * 79 + [47]
    assert sum(sizes) == 442


@torch.no_grad()
def test_channels_are_heard_by_themselves(network, rng):
    recording = noise(rng, 1000)
    both = network(recording)
    torch.testing.assert_close(both.flip(2), network(recording.flip(1)))
    recording[:, 1] = 0
    torch.testing.assert_close(network(recording)[:, :, 0], both[:, :, 0])


@torch.no_grad()
def test_nothing_looks_further_than_it_says(network, rng):
    look, recording = SMALL.look, noise(rng, 6000)
    before = network(recording)
    recording[..., 3000] += 1
    changed = (network(recording) - before).abs().amax((0, 1, 2)) > 1e-5
    assert changed.any()
    assert not changed[: 3000 - look].any()
    assert not changed[3000 + look + 1 :].any()


@torch.no_grad()
def test_the_estimate_does_not_depend_on_how_a_track_is_cut(network, rng):
    """Cuts on the grid of frames; but for the track's ends, beyond which a whole one is mirrored."""
    track, look = noise(rng, 9000, batch=1), SMALL.look
    hop = SMALL.n_fft // 2
    whole = network(track)[0, ..., look:-look]
    plan = Plan.for_spec(network.spec, overlap=0)
    plan = dataclasses.replace(plan, segment=20 * hop + 2 * look, stride=20 * hop)
    stream = Stream(EagerBackend(network, network.spec), plan)
    found = torch.cat([stream.push(track[0]), stream.finish()], dim=-1)[..., look:-look]
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-4)


def test_its_layers_are_a_graph_of_real_numbers(network, rng):
    require_real(network, noise(rng, 1000))


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(network, signal):
    assert network(signal(1000)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(network, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": ("vocals", "other")}, "there must be one source"),
        ({"channels": 24}, "channels must be a multiple of 16"),
        ({"segment": 800}, "segment must be longer than"),
        ({"n_fft": 161}, "n_fft must be even"),
        ({"n_fft": 158}, "n_fft must be 160 to 65536"),
        ({"layers": 10**9}, "layers must be 1 to 64"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(SMALL, **changes)
