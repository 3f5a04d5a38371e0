"""X-UMX against the published network and filter, with weights under which every branch speaks.

The published transforms no longer run; torch's own stand in for them. A float32 network rounds, and two
orders of summation round differently; float64 shows that the mathematics is the same.
"""

from __future__ import annotations

import pytest
import torch

from networks.tiny import TINY, lively
from reference.published_unmix import norbert, x_umx
from unbraid.config import structure
from unbraid.networks.x_umx import XUMX, Config
from unbraid.zoo.keymaps.x_umx import rename

pytestmark = pytest.mark.reference

VARIANTS = {
    "as published": {},
    "no filter": {"iterations": 0},
    "two rounds": {"iterations": 2},
    "shares": {"softmask": True},
    "one way": {"unidirectional": True, "layers": 3},
    "all bins, half overlap": {"max_bin": 33, "hop_length": 32},
}


def pair(config):
    """Ours and theirs with equal weights, in evaluation mode and float64."""
    theirs = x_umx(
        config.sources,
        window_length=config.n_fft,
        in_chan=config.n_fft,
        n_hop=config.hop_length,
        hidden_size=config.hidden_size,
        nb_channels=config.audio_channels,
        sample_rate=config.sample_rate,
        nb_layers=config.layers,
        max_bin=config.max_bin,
        bidirectional=not config.unidirectional,
    )
    theirs.load_state_dict(lively(theirs.state_dict()))
    ours = XUMX(config)
    ours.load_state_dict(rename(theirs.state_dict()))
    return ours.double().eval(), theirs.double().eval()


def published(network, mixture, config):
    """What the published evaluation does with one mixture `(C, T)`."""
    window = torch.hann_window(config.n_fft, dtype=torch.float64)
    arguments = (config.n_fft, config.hop_length)
    spectrum = torch.stft(mixture, *arguments, window=window, return_complex=True)  # (C, F, N)
    magnitudes = spectrum.abs().permute(2, 0, 1)[:, None]  # (N, B, C, F)
    heard = (magnitudes * network.forward_masker(magnitudes.clone()))[:, :, 0].permute(1, 3, 2, 0)
    spectra = norbert(
        heard.numpy(),
        spectrum.permute(2, 1, 0).numpy().copy(),
        config.iterations,
        use_softmask=config.softmask,
    )
    rows = torch.from_numpy(spectra).permute(3, 2, 1, 0).flatten(0, 1)
    signals = torch.istft(rows, *arguments, window=window, length=mixture.shape[-1])
    return signals.view(len(config.sources), *mixture.shape)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("length", [33, 640, 1777])
@torch.no_grad()
def test_estimates_are_those_of_the_published_network_and_filter(options, length, rng):
    ours, theirs = pair(structure({**TINY["x_umx"], **options}, Config))
    mixture = 0.1 * torch.randn(2, length, generator=rng, dtype=torch.float64)
    expected = published(theirs, mixture, ours.config)
    assert (ours(mixture[None])[0] - expected).norm() < 1e-10 * expected.norm()
    single = ours.float()(mixture[None].float())[0]
    assert (single - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
@torch.no_grad()
def test_the_masks_of_the_full_network_are_the_published_ones(rng):
    ours, theirs = pair(Config())
    magnitudes = torch.rand(40, 1, 2, 2049, generator=rng)
    expected = theirs.forward_masker(magnitudes.double())
    assert (torch.stack(ours.inner(magnitudes.double())) - expected).norm() < 1e-12 * expected.norm()
    assert (torch.stack(ours.float().inner(magnitudes)) - expected).norm() < 1e-5 * expected.norm()
