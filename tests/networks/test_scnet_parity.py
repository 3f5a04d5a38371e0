"""SCNet's kinds against the published classes, with weights under which every branch speaks."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from networks.tiny import SCNET_LARGE, SCNET_XL_IHF, SPARSE, lively
from reference.published_scnet import published, weights_of
from unbraid.config import structure
from unbraid.networks.scnet import Config, SCNet
from unbraid.zoo.keymaps.scnet import rename

pytestmark = [
    pytest.mark.reference,
    # The published classes name no window, on purpose or not; so the one of their weights is rectangular.
    pytest.mark.filterwarnings("ignore:A window was not provided:UserWarning"),
]

SMALL = {"n_fft": 128, "hop_length": 32, "segment": 1000, "widths": [8, 12, 16], "layers": 4, "bands": SPARSE}
ATTENTION = {"heads": 3, "head_channels": 8}
VARIANTS = {
    "small": SMALL,
    "bands as published": {**SMALL, "n_fft": 512, "bands": [dict(band) for band in SCNET_LARGE["bands"]]},
    "one level, no dual path": {**SMALL, "widths": [8], "layers": 0},
    "mono, one source, wide": {
        **SMALL,
        "sources": ["vocals"],
        "audio_channels": 1,
        "expand": 2,
        "compress": 2,
        "kernel_size": 5,
    },
    "masked": {**SMALL, "masked": True},
    "masked, two sources": {**SMALL, "masked": True, "sources": ["a", "b"]},
    "transformers": {**SMALL, "attention": ATTENTION},
    "deeper transformers": {**SMALL, "attention": {**ATTENTION, "depth": 2, "heads": 1}},
}


def pair(options):
    """Ours and theirs with equal weights, in evaluation mode."""
    config = structure(options, Config)
    theirs = published(config)
    state = theirs.state_dict()
    weights = {**lively(state), **{name: value for name, value in state.items() if name.endswith("freqs")}}
    theirs.load_state_dict(weights)
    ours = SCNet(config)
    ours.load_state_dict(rename(weights))
    return ours.eval(), theirs.eval()


@torch.no_grad()
def difference(ours, theirs, length, *, dtype=torch.float64, batch=2):
    """Norm of the difference over the norm of theirs, which computes in float64 where it would in float32."""
    generator = torch.Generator().manual_seed(length)
    mixture = torch.randn(batch, ours.spec.channels, length, generator=generator).to(dtype)
    with mock.patch.object(torch.Tensor, "float", lambda self: self.to(dtype)):
        expected = theirs.to(dtype)(mixture)
    found = ours.to(dtype)(mixture)
    return ((found - expected).norm() / expected.norm()).item()


# Lengths around a hop and around an even number of hops. The masked kind keeps a window in float32.
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_mathematics_is_that_of_the_published_network(options):
    ours, theirs = pair(options)
    least = options["n_fft"] // 2
    tolerance = 1e-6 if options.get("masked") else 1e-12
    lengths = (least + 32, least + 33, least + 64, 1000)
    # In float64 first: the published transformers remember angles, in the precision that asked first.
    assert max(difference(ours, theirs, length) for length in lengths) < tolerance
    assert max(difference(ours, theirs, length, dtype=torch.float32) for length in lengths) < 1e-5


@pytest.mark.parametrize("options", [{}, {"masked": True}], ids=["small", "masked"])
def test_the_full_networks_agree(options):
    ours, theirs = pair(options)
    assert difference(ours, theirs, 20_000, dtype=torch.float32, batch=1) < 1e-5


# In float32 each is 1.8e-5 from its float64: scores of attention multiply what was rounded before them.
def test_the_full_network_with_transformers_agrees():
    assert difference(*pair({"attention": {}}), 20_000, batch=1) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("options", [SCNET_LARGE, SCNET_XL_IHF], ids=["large", "XL IHF"])
def test_the_large_networks_agree(options):
    ours, theirs = pair(options)
    assert difference(ours, theirs, 50_000, dtype=torch.float32, batch=1) < 1e-5


@torch.no_grad()
def test_a_spectrum_is_standardized_as_in_the_authors_program(rng):
    """There, the network hears (x − mean) / (1e-5 + deviation), and what it says is put back."""
    plain, _ = pair(SMALL)
    ours = SCNet(structure({**SMALL, "standardized": True}, Config)).eval()
    ours.load_state_dict(plain.state_dict())
    mixture = 0.1 * torch.randn(2, 2, 1000, generator=rng)

    def around_the_layers(parts):
        mean, deviation = parts.mean((1, 2, 3), keepdim=True), parts.std((1, 2, 3), keepdim=True)
        (heard,) = plain.inner((parts - mean) / (1e-5 + deviation))
        return (heard * deviation + mean,)

    expected = plain.around(around_the_layers, mixture)
    torch.testing.assert_close(ours(mixture), expected)
    assert (ours(mixture) - plain(mixture)).abs().max() > 0.1 * expected.abs().max()


def test_only_a_convolution_that_is_never_used_is_left_out():
    config = structure({**SMALL, "attention": ATTENTION}, Config)
    theirs = published(config)
    assert weights_of(theirs).keys() == SCNet(config).state_dict().keys()
    assert theirs.state_dict().keys() - weights_of(theirs).keys() == {"first_conv.weight"}
