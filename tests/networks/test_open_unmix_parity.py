"""Open-Unmix against the published implementation, with weights under which every branch speaks.

A float32 network rounds, and two orders of summation round differently; float64 shows that the
mathematics is the same. The published filter rounds most, and is compared in float64 alone.
"""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY, lively
from reference.published_unmix import Separator, open_unmix, wiener
from unbraid.config import structure
from unbraid.dsp.wiener import WienerFilter
from unbraid.networks.open_unmix import Config, OpenUnmix

pytestmark = pytest.mark.reference


def published(config):
    """The published implementation of a configuration."""
    targets = {
        source: open_unmix(
            nb_bins=config.bins,
            nb_channels=config.audio_channels,
            hidden_size=config.hidden_size,
            nb_layers=config.layers,
            unidirectional=config.unidirectional,
            max_bin=config.max_bin,
        )
        for source in config.sources
    }
    return Separator(
        targets,
        niter=config.iterations if len(config.heard) > 1 else 0,
        softmask=config.softmask,
        residual=config.residual,
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        n_hop=config.hop_length,
        nb_channels=config.audio_channels,
        wiener_win_len=config.wiener_window,
    )


def pair(config):
    """Ours and theirs with equal weights, in evaluation mode, theirs in float64."""
    ours, theirs = OpenUnmix(config), published(config)
    # float32, for so the published scales are made whatever the default precision is.
    weights = {name: value.float() for name, value in lively(ours.state_dict()).items()}
    ours.load_state_dict(weights)
    for place, target in enumerate(theirs.target_models.values()):
        prefix = f"targets.{place}."
        own = {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
        target.load_state_dict(own)
    return ours.eval(), theirs.double().eval()


@torch.no_grad()
def difference(ours, theirs, length, *, batch=1):
    """Norm of the difference over the norm of theirs."""
    generator = torch.Generator().manual_seed(length)
    mixture = 0.1 * torch.randn(batch, ours.spec.channels, length, generator=generator, dtype=torch.float64)
    expected = theirs(mixture)
    return ((ours(mixture.to(next(ours.parameters()).dtype)) - expected).norm() / expected.norm()).item()


@pytest.fixture(autouse=True)
def _double():
    """float64 by default: the published implementation makes its windows in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


VARIANTS = {
    "as published": {},
    "no filter": {"iterations": 0},
    "three rounds": {"iterations": 3},
    "shares": {"softmask": True},
    "residual": {"residual": True},
    "one source": {"sources": ["vocals"]},
    "one source and the residual": {"sources": ["vocals"], "residual": True, "iterations": 2},
    "the whole track as one window": {"wiener_window": None},
    "short windows": {"wiener_window": 9},
    "one way": {"unidirectional": True},
    "one layer": {"layers": 1},
    "all bins, mono, half overlap": {"max_bin": 33, "audio_channels": 1, "hop_length": 32},
    "eight frames overlap": {"hop_length": 8, "layers": 4},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_mathematics_is_that_of_the_published_network(options):
    ours, theirs = pair(structure({**TINY["open_unmix"], **options}, Config))
    for length in (33, 640, 1777):
        assert difference(ours.double(), theirs, length, batch=2) < 1e-8


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_float32_rounds_little(options):
    ours, theirs = pair(structure({**TINY["open_unmix"], **options}, Config))
    for length in (33, 1777):
        assert difference(ours.float(), theirs, length) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"hidden_size": 1024, "sources": ["vocals"], "residual": True}])
def test_the_full_network_agrees(options):
    ours, theirs = pair(structure(options, Config))
    assert difference(ours.float(), theirs, 44_100 + 17) < 1e-5


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("iterations", [0, 1, 4])
@pytest.mark.parametrize("softmask", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gain", [0.1, 40.0])
def test_the_filter_is_the_published_one(channels, iterations, softmask, residual, gain, rng):
    magnitudes = gain * torch.rand(4, channels, 9, 30, generator=rng)
    parts = gain * torch.randn(channels, 9, 30, 2, generator=rng)
    expected = wiener(
        magnitudes.permute(3, 2, 1, 0),
        parts.permute(2, 1, 0, 3).clone(),
        iterations,
        softmask=softmask,
        residual=residual,
    )
    expected = torch.view_as_complex(expected.mT.contiguous()).permute(3, 2, 1, 0)
    estimates = WienerFilter(iterations, softmask=softmask, residual=residual)(
        magnitudes, torch.view_as_complex(parts)
    )
    assert (estimates - expected).norm() < 1e-12 * expected.norm()
