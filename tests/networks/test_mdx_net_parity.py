"""MDX-Net against the published class, and against a slow twin of the published program around it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from networks.tiny import lively
from reference.published_mdx_net import published, weights_of
from reference.slow_mdx_net import separated
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.plan import Plan
from unbraid.engine.stream import Stream
from unbraid.networks.layers.tfc_tdf import Norm
from unbraid.networks.mdx_net import Config, MDXNet, Target

pytestmark = pytest.mark.reference

HOP = 16
SMALL = {"n_fft": 96, "bins": 32, "frames": 16, "levels": 2, "channels": 4}
TARGETS = {
    "as published": SMALL,
    "with bias": {**SMALL, "bias": True},
    "one full layer": {**SMALL, "bottleneck": 0},
    "no full layers": {**SMALL, "bottleneck": None},
    "wide kernels": {**SMALL, "kernel_size": 5, "convolutions": 1},
    "no levels": {**SMALL, "levels": 0},
    "odd sizes": {**SMALL, "bins": 48, "frames": 24, "levels": 3, "channels": 6, "bottleneck": 3},
}


def pair(sizes, norm):
    """Ours, and the published network of its one target, with equal weights, in float64 and in evaluation."""
    target = Target(**sizes)
    theirs = published(target, norm=norm, hop_length=HOP)
    theirs.load_state_dict(lively(theirs.state_dict()))
    ours = MDXNet(Config(targets=(target,), hop_length=HOP, norm=Norm(norm)))
    ours.load_state_dict({f"targets.0.{name}": value for name, value in weights_of(theirs).items()})
    return ours.double().eval(), theirs.double().eval()


def distance(estimate, reference):
    return ((estimate.double() - reference.double()).norm() / reference.double().norm()).item()


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("sizes", TARGETS.values(), ids=TARGETS.keys())
@torch.no_grad()
def test_the_mathematics_is_that_of_the_published_network(sizes, norm, rng):
    ours, theirs = pair(sizes, norm)
    for frames in (sizes["frames"], 3 * sizes["frames"]):
        features = torch.randn(2, 4, sizes["bins"], frames, generator=rng, dtype=torch.float64)
        expected = theirs(features)
        assert distance(ours.targets[0].separate(features), expected) < 1e-12
        single = ours.float().targets[0].separate(features.float())
        # The published network's own float32 is up to 1e-6 from its float64.
        assert distance(single, expected) < 1e-5
        ours.double()


@pytest.mark.parametrize("norm", ["batch", "group"])
@torch.no_grad()  # the published network writes into what its gradient would need
def test_training_is_that_of_the_published_network(norm, rng):
    ours, theirs = (network.train() for network in pair(SMALL, norm))
    features = torch.randn(2, 4, 32, 16, generator=rng, dtype=torch.float64)
    assert distance(ours.targets[0].separate(features), theirs(features)) < 1e-10
    statistics = dict(theirs.named_buffers())
    for name, value in ours.named_buffers():
        torch.testing.assert_close(value, statistics[name.removeprefix("targets.0.")])


# The second has frames that the hop does not divide, as the published ones of 7680 samples.
@pytest.mark.parametrize("n_fft", [96, 120])
@pytest.mark.parametrize("low_cut", [0, 3])
@pytest.mark.parametrize("length", [1, 100, 144, 145, 1000])
@torch.no_grad()
def test_a_whole_track_is_separated_as_by_the_published_program(n_fft, low_cut, length, rng):
    ours, theirs = pair({**SMALL, "n_fft": n_fft}, "batch")
    config = dataclasses.replace(ours.config, low_cut=low_cut)
    state, ours = ours.state_dict(), MDXNet(config).double().eval()
    ours.load_state_dict(state)
    track = torch.randn(2, length, generator=rng, dtype=torch.float64)
    expected = separated(track.numpy(), theirs, n_fft=n_fft, hop=HOP, bins=32, frames=16, low_cut=low_cut)
    edge = ours.spec.context
    assert edge == n_fft // 2
    padded = torch.nn.functional.pad(track, (edge, edge))
    at_once = ours(padded[None])[0, 0, :, edge : edge + length].numpy()
    assert np.abs(at_once - expected).max() < 1e-9 * np.abs(expected).max()
    stream = Stream(EagerBackend(ours.float(), ours.spec), Plan.for_spec(ours.spec, overlap=0))
    streamed = torch.cat([stream.push(track.float()), stream.finish()], dim=-1)[0].numpy()
    assert np.linalg.norm(streamed - expected) < 1e-5 * np.linalg.norm(expected)


@torch.no_grad()
def test_a_target_of_shorter_segments_reads_as_many_as_the_published_program_would(rng):
    short = {"n_fft": 40, "bins": 16, "frames": 16, "levels": 1, "channels": 4}
    one, theirs = pair(short, "batch")
    both = MDXNet(
        Config(
            sources=("a", "b"), targets=(Target(**{**SMALL, "frames": 32}), Target(**short)), hop_length=HOP
        )
    )
    both.targets[1].load_state_dict(one.targets[0].state_dict())
    both.double().eval()
    assert (both.spec.segment, both.spec.context) == (31 * HOP, 48)
    for length in (31 * HOP, 1001):
        track = torch.randn(2, length, generator=rng, dtype=torch.float64)
        track[:, :20] = 0  # what the published program puts before a track
        expected = separated(track[:, 20:].numpy(), theirs, n_fft=40, hop=HOP, bins=16, frames=16)
        found = both(track[None])[0, 1, :, 48:-48].numpy()
        assert np.abs(found - expected[:, 28:-48]).max() < 1e-9 * np.abs(expected).max()


@torch.no_grad()
def test_the_mixer_is_the_published_one(rng):
    sources, audio = 4, 2
    target = Target(**SMALL)
    ours = MDXNet(Config(sources=tuple("bdov"), targets=(target,) * sources, hop_length=HOP, mixer=True))
    ours.load_state_dict(lively(ours.state_dict()))
    ours.double().eval()
    mixture = torch.randn(1, audio, 500, generator=rng, dtype=torch.float64)
    estimates = torch.stack([network(mixture, 48) for network in ours.targets], dim=1)
    # As published: the estimates and then the mixture, a channel a row; a linear layer on each sample.
    heard = torch.cat([estimates[0], mixture], 0).reshape(10, -1).T
    expected = torch.nn.functional.linear(heard, ours.mixer.linear.weight).T.reshape(sources, audio, -1)
    torch.testing.assert_close(ours(mixture)[0], expected)


@torch.no_grad()
def test_the_full_network_agrees(rng):
    target = Target()
    theirs = published(target, norm="batch", hop_length=1024).eval()
    theirs.load_state_dict(lively(theirs.state_dict()))
    ours = MDXNet().eval()
    ours.load_state_dict({f"targets.0.{name}": value for name, value in weights_of(theirs).items()})
    features = torch.randn(1, 4, 2048, 32, generator=rng)
    assert distance(ours.targets[0].separate(features), theirs(features)) < 1e-5
