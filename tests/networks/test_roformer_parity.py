"""BS-RoFormer and Mel-Band RoFormer against an independent implementation, and stored answers of another.

A float32 network rounds, and two orders of summation round differently; float64 shows that the mathematics
is the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from networks.tiny import lively
from reference.roformer_cases import BANDS, CASES, MEL_TABLES, OURS, SMALL, mixture
from unbraid.dsp.bands import mel_band_edges
from unbraid.networks import bs_roformer, mel_band_roformer
from unbraid.networks.layers.axial_transformer import Position

pytestmark = pytest.mark.reference

GOLDEN = Path(__file__).parents[1] / "golden"
LAYERS = {"stereo": True, "time_transformer_depth": 1, "freq_transformer_depth": 1}
BS = {**SMALL, **LAYERS, "freqs_per_bands": BANDS, "zero_dc": True}
BS_OURS = {**OURS, "bands": BANDS}
BS_VARIANTS = {
    "as published": ({}, {}),
    "with its mean": ({"zero_dc": False}, {"zero_dc": False}),
    "mono, one source": ({"stereo": False, "num_stems": 1}, {"audio_channels": 1, "sources": ("vocals",)}),
    "two transformers a layer": (
        {"time_transformer_depth": 2, "freq_transformer_depth": 3},
        {"time_layers": 2, "band_layers": 3},
    ),
    "skip connections": ({"skip_connection": True, "depth": 3}, {"skip_connection": True, "depth": 3}),
    "no hidden layer": ({"mask_estimator_depth": 1}, {"mask_layers": 0}),
    "three hidden layers": (
        {"mask_estimator_depth": 4, "mlp_expansion_factor": 1},
        {"mask_layers": 3, "mask_expansion": 1},
    ),
    "unitary spectra": ({"stft_normalized": True}, {"normalized": True}),
    "other heads": ({"heads": 3, "dim_head": 12}, {"heads": 3, "head_channels": 12}),
    "an odd hop": ({"stft_hop_length": 45}, {"hop_length": 45}),
    "polar positions": ({"use_pope": True}, {"position": Position.POLAR}),
    "biases": ({"use_shared_bias": True}, {"bias": True}),
}
MEL = {**SMALL, **LAYERS, "num_bands": 9}
MEL_OURS = {**OURS, "bands": 9}
MEL_VARIANTS = {
    "as published": ({}, {}),
    "with its mean": ({"zero_dc": False}, {"zero_dc": False}),
    "mono, one source": ({"stereo": False, "num_stems": 1}, {"audio_channels": 1, "sources": ("vocals",)}),
    "first generation": ({"mlp_hidden_layers": 1}, {"mask_layers": 1}),
    "three hidden layers": ({"mlp_hidden_layers": 3}, {"mask_layers": 3}),
    "skip connections": ({"skip_connection": True}, {"skip_connection": True}),
    "another rate": ({"sample_rate": 16000, "num_bands": 12}, {"sample_rate": 16000, "bands": 12}),
    "longer frames": (
        {"stft_n_fft": 512, "stft_win_length": 512, "num_bands": 14},
        {"n_fft": 512, "bands": 14},
    ),
}


@pytest.fixture
def double():
    """float64 by default: the other implementation makes its windows in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def pair(ours, theirs):
    """Both with equal weights, all branches alive, in evaluation mode; angles are those of positions."""
    state = theirs.state_dict()
    weights = {
        name: state[name] if name.endswith("freqs") else value for name, value in lively(state).items()
    }
    for name in [name for name in weights if name.endswith(("to_qkv.bias", "to_out.0.bias"))]:
        shared = "linear_62_bias_0" if "to_qkv" in name else "linear_64_bias_0"
        weights[name] = weights[shared]
    theirs.load_state_dict(weights)
    ours.load_state_dict({name: value for name, value in weights.items() if not name.startswith("linear_6")})
    return ours.eval(), theirs.eval()


def bs_pair(options, config):
    from pymss_core.modules.bs_roformer import BSRoformer as Published

    return pair(
        bs_roformer.BSRoformer(bs_roformer.Config(**{**BS_OURS, **config})), Published(**{**BS, **options})
    )


def mel_pair(options, config):
    from pymss_core.modules.bs_roformer import MelBandRoformer as Published

    # By itself it makes one hidden layer fewer than the published class.
    arguments = {**MEL, "mask_estimator_depth": 2, "mlp_hidden_layers": 2, **options}
    network = mel_band_roformer.MelBandRoformer(
        mel_band_roformer.Config(**{**MEL_OURS, "mask_layers": 2, **config})
    )
    return pair(network, Published(**arguments))


def noise(network, length, *, batch=2):
    generator = torch.Generator().manual_seed(length)
    shape = batch, network.spec.channels, length
    return 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def difference(ours, theirs, signal):
    """Norm of the difference over the norm of theirs, which may be shorter by less than a hop."""
    expected = theirs(signal)
    expected = expected if expected.ndim == 4 else expected[:, None]
    found = ours(signal)
    assert found.shape[-1] == signal.shape[-1]
    assert 0 <= signal.shape[-1] - expected.shape[-1] < ours.config.hop_length
    return ((found[..., : expected.shape[-1]] - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(("options", "config"), BS_VARIANTS.values(), ids=BS_VARIANTS.keys())
@pytest.mark.usefixtures("double")
def test_the_mathematics_is_that_of_the_published_bs_roformer(options, config):
    ours, theirs = bs_pair(options, config)
    for length in (300, 777):
        assert difference(ours.double(), theirs.double(), noise(ours, length)) < 1e-11


@pytest.mark.parametrize(("options", "config"), MEL_VARIANTS.values(), ids=MEL_VARIANTS.keys())
@pytest.mark.usefixtures("double")
def test_the_mathematics_is_that_of_the_published_mel_band_roformer(options, config):
    ours, theirs = mel_pair(options, config)
    for length in (320, 777):
        assert difference(ours.double(), theirs.double(), noise(ours, length)) < 1e-11


@pytest.mark.parametrize("make", [bs_pair, mel_pair])
def test_single_precision_agrees(make):
    ours, theirs = make({}, {})
    assert difference(ours, theirs, noise(ours, 3000).float()) < 1e-5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@torch.no_grad()
def test_stored_answers_of_the_published_classes_agree(case):
    kinds = {
        "bs": (bs_roformer.BSRoformer, bs_roformer.Config),
        "mel": (mel_band_roformer.MelBandRoformer, mel_band_roformer.Config),
    }
    network, config = kinds[case.kind]
    ours = network(config(**case.config)).eval()
    ours.load_state_dict(lively(ours.state_dict()))
    expected = torch.from_numpy(np.load(GOLDEN / "roformer.npz")[case.name])
    signal = mixture(case.length)
    assert (ours(signal.float())[0] - expected).norm() < 1e-5 * expected.norm()
    assert (ours.double()(signal)[0] - expected).norm() < 1e-12 * expected.norm()


@pytest.mark.parametrize("table", MEL_TABLES, ids=str)
def test_mel_bands_are_those_of_the_published_filters(table):
    stored = json.loads((GOLDEN / "mel_bands.json").read_text(encoding="utf-8"))
    assert [list(band) for band in mel_band_edges(*table)] == stored[" ".join(map(str, table))]


@pytest.mark.slow
@pytest.mark.parametrize("make", [bs_pair, mel_pair])
def test_a_network_of_published_width_agrees(make):
    options = {
        "dim": 384,
        "depth": 1,
        "heads": 8,
        "dim_head": 64,
        "mlp_expansion_factor": 1,
        "stft_n_fft": 2048,
        "stft_win_length": 2048,
        "stft_hop_length": 441,
    }
    config = {
        "channels": 384,
        "depth": 1,
        "heads": 8,
        "head_channels": 64,
        "mask_expansion": 1,
        "n_fft": 2048,
        "hop_length": 441,
    }
    if make is bs_pair:
        options["freqs_per_bands"] = config["bands"] = bs_roformer.ROPE_BANDS
    else:
        options["num_bands"] = config["bands"] = 60
    ours, theirs = make(options, config)
    assert difference(ours, theirs, noise(ours, 44_100, batch=1).float()) < 1e-5
