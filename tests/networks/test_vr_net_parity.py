"""VR against the published classes, and against what the published program stored around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from networks.tiny import lively
from reference.published_vr import PROGRAMS, places, published_network, track, weights_of
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.networks.vr_net import Config, VRNet

pytestmark = pytest.mark.reference

ANSWERS = np.load(Path(__file__).parents[1] / "golden/vr_net.npz")
KINDS = {
    "five views": Config(channels=4, window=64),
    "six views, five levels": Config(channels=4, levels=5, views=6, window=64),
    "seven views": Config(channels=4, views=7, window=64, layout="3band_44100_msb2"),
    "recurrent": Config(channels=8, recurrence=16, window=64, layout="4band_v3"),
    "recurrent, full band": Config(channels=4, recurrence=8, window=64, layout="4band_v4_ms_fullband"),
}


def pair(config):
    """Ours, and the published network, with equal weights, in evaluation."""
    ours, theirs = VRNet(config), published_network(config)
    state = lively(ours.state_dict())
    ours.load_state_dict(state)
    theirs.load_state_dict(weights_of(state, theirs))
    return ours.eval(), theirs.eval()


def distance(estimate, reference):
    return ((estimate.double() - reference.double()).norm() / reference.double().norm()).item()


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())
@torch.no_grad()
def test_the_mathematics_is_that_of_the_published_network(config, rng):
    ours, theirs = pair(config)
    magnitudes = torch.rand(2, 2, config.bands.bins + 1, config.window, generator=rng)
    (single,) = ours.inner(magnitudes)
    (exact,) = ours.double().inner(magnitudes.double())
    expected = theirs.double()(magnitudes.double())
    assert expected.std() > 0.02  # the mask is no constant
    assert distance(exact, expected) < 1e-12
    assert distance(single, expected) < 1e-5


@pytest.mark.slow
@torch.no_grad()
def test_the_published_network_agrees_at_its_own_size(rng):
    config = Config(channels=16)
    ours, theirs = pair(config)
    magnitudes = torch.rand(1, 2, config.bands.bins + 1, 512, generator=rng)
    assert distance(ours.inner(magnitudes)[0], theirs(magnitudes)) < 1e-5


@pytest.mark.parametrize("config", PROGRAMS.values(), ids=PROGRAMS.keys())
@torch.no_grad()
def test_a_whole_track_is_separated_as_by_the_published_program(config):
    name = next(name for name, other in PROGRAMS.items() if other is config)
    ours, _ = pair(config)
    mixture = torch.from_numpy(track(config))
    edge, length = ours.spec.context, mixture.shape[-1]
    padded = torch.nn.functional.pad(mixture, (edge, edge))
    stems = ours(padded[None])[0, ..., edge : edge + length].numpy()
    kept = ANSWERS[f"{name}/stems"]
    assert np.linalg.norm(stems.ravel()[places(stems.size, 4000)] - kept) < 1e-5 * np.linalg.norm(kept)
    assert np.linalg.norm(stems) == pytest.approx(ANSWERS[f"{name}/stems/norm"], rel=1e-5)


@pytest.mark.parametrize("config", PROGRAMS.values(), ids=PROGRAMS.keys())
@torch.no_grad()
def test_a_stream_is_close_to_the_whole_track(config):
    ours, _ = pair(config)
    mixture = torch.from_numpy(track(config))
    edge, length = ours.spec.context, mixture.shape[-1]
    whole = ours(torch.nn.functional.pad(mixture, (edge, edge))[None])[0, ..., edge : edge + length]
    segment = (2 * config.used + 2 * config.offset) * config.bands.hop_length  # two windows each
    plan = Plan.for_spec(ours.spec, overlap=0, segment=segment)
    stream = Stream(EagerBackend(ours, ours.spec), plan)
    streamed = torch.cat([stream.push(mixture), stream.finish()], dim=-1)
    # Noise is about equally loud everywhere; what differs are peaks, and frames where segments meet.
    assert distance(streamed, whole) < 0.05
