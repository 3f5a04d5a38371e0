"""What BS-RoFormer and Mel-Band RoFormer promise beyond what every network does."""

from __future__ import annotations

import itertools

import pytest
import torch

import signals
from networks.tiny import TINY, Inner, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks import bs_roformer, mel_band_roformer
from unbraid.networks.base import build, parameter_count
from unbraid.networks.layers import axial_transformer
from unbraid.networks.layers.axial_transformer import Position

# Frequencies of the two rotary tables, which the published classes count as parameters: no training changes
# them.
TABLES = 64
BOTH = ["bs_roformer", "mel_band_roformer"]
CONFIGS = {"bs_roformer": bs_roformer.Config, "mel_band_roformer": mel_band_roformer.Config}
STEMS = ("drums", "bass", "other", "vocals")


def small(architecture, **changes):
    """A network in float64, all of whose branches are alive."""
    network = build(architecture, structure({**TINY[architecture], **changes}, CONFIGS[architecture]))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def noise(network, rng, *, length=None, batch=1):
    shape = (batch, network.spec.channels, length or network.spec.segment)
    return 0.1 * torch.randn(shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize(
    ("architecture", "changes", "published"),
    [
        ("bs_roformer", {}, 159_758_092),
        ("bs_roformer", {"channels": 384}, 98_194_828),
        ("bs_roformer", {"channels": 384, "depth": 8, "mask_expansion": 2, "sources": STEMS}, 131_704_164),
        ("bs_roformer", {"depth": 16}, 184_985_420),
        ("bs_roformer", {"channels": 256}, 51_049_484),
        ("bs_roformer", {"channels": 256, "sources": (*STEMS, "guitar", "piano")}, 174_656_564),
        ("bs_roformer", {"channels": 384, "depth": 8, "sources": ("male", "female")}, 131_687_764),
        ("bs_roformer", {"channels": 384, "depth": 10}, 90_307_436),
        ("bs_roformer", {"channels": 256, "depth": 8}, 42_630_092),
        ("mel_band_roformer", {}, 228_202_852),
        ("mel_band_roformer", {"depth": 12}, 251_869_636),
        ("mel_band_roformer", {"mask_layers": 3}, 369_852_772),
        ("mel_band_roformer", {"depth": 12, "mask_layers": 3}, 393_519_556),
        ("mel_band_roformer", {"sources": ("vocals", "instrumental")}, 429_668_156),
        ("mel_band_roformer", {"channels": 256, "depth": 8}, 113_886_596),
        ("mel_band_roformer", {"channels": 256, "depth": 8, "sources": ("a", "b")}, 208_880_476),
        ("mel_band_roformer", {"channels": 192, "depth": 8, "mask_layers": 1}, 33_666_948),
    ],
)
def test_published_models_have_their_number_of_parameters(architecture, changes, published):
    with torch.device("meta"):
        network = build(architecture, CONFIGS[architecture](**changes))
    assert parameter_count(network) == published - TABLES


@pytest.mark.parametrize("architecture", BOTH)
def test_it_says_of_itself_what_the_engine_must_know(architecture):
    with torch.device("meta"):
        spec = build(architecture).spec
    assert (spec.sources, spec.sample_rate, spec.channels) == (("vocals",), 44100, 2)
    assert (spec.segment, spec.limit, spec.multiple, spec.fixed) == (352_800, 60 * 44100, 1, False)
    assert not spec.levelled


def test_mel_bands_are_the_published_ones():
    edges = mel_band_roformer.Config().edges
    assert edges[:4] == ((0, 7), (4, 10), (7, 13), (10, 16))
    assert edges[-2:] == ((836, 958), (895, 1025))
    assert all(low[1] > high[0] for low, high in itertools.pairwise(edges))


def ones(features):
    """Masks that leave everything as it is."""
    mask = torch.zeros_like(features)
    mask[..., ::2] = 1  # the real parts
    return (mask[:, None].expand(-1, 3, -1, -1, -1),)


@pytest.mark.parametrize("architecture", BOTH)
def test_masks_of_one_give_the_mixture(architecture, rng):
    network = small(architecture, zero_dc=False)
    mixture = noise(network, rng, length=777)
    estimates = network.around(ones, mixture)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(estimates))


@pytest.mark.parametrize("architecture", BOTH)
def test_the_lowest_bin_is_taken_off_where_asked_for(architecture, rng):
    network = small(architecture, zero_dc=True)
    mixture = noise(network, rng, length=777) + 0.5
    spectrum = network.stft(mixture)
    spectrum[..., 1:, :] = 0
    left = mixture - network.stft.inverse(spectrum, 777)
    torch.testing.assert_close(network.around(ones, mixture)[:, 0], left)
    assert (mixture - left).abs().max() > 0.3


@pytest.mark.parametrize("architecture", BOTH)
def test_silence_stays_silent(architecture):
    network = small(architecture).float()
    assert not network(torch.zeros(1, 2, 500)).any()


@pytest.mark.parametrize("architecture", BOTH)
def test_few_rows_at_once_change_nothing(architecture, rng, monkeypatch):
    network = small(architecture)
    mixture = noise(network, rng, batch=2)
    whole = network(mixture)
    monkeypatch.setattr(axial_transformer, "_AT_ONCE", 100)
    torch.testing.assert_close(network(mixture), whole)


@pytest.mark.parametrize("position", Position)
def test_attention_sees_distances_not_places(position, rng):
    sizes = axial_transformer.Sizes(
        channels=16, heads=2, head_channels=8, bias=True, normed=False, attention_dropout=0.0, dropout=0.0
    )
    table = axial_transformer.POSITIONS[position](sizes)
    query, key = torch.randn(2, 1, 2, 1, 8, generator=rng).double().expand(-1, -1, -1, 9, -1)
    turned, other = table.double()(query, key)
    scores = (turned @ other.mT)[0, 0]
    for offset in range(-8, 9):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[0].std() > 1e-3


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_angles_stay_exact_in_half_precision(kind):
    network = small("bs_roformer").float()
    before = {name: value.clone() for name, value in network.state_dict().items() if name.endswith(".freqs")}
    half = network.to(kind).state_dict()
    assert before
    assert all(half[name].equal(value) for name, value in before.items())


@pytest.mark.parametrize("position", Position)
def test_the_layers_can_be_recorded_as_a_graph(position, rng):
    network = small("bs_roformer", position=position.value).float()
    features = torch.randn(1, 12, 33, 4, generator=rng)
    exported = torch.export.export(Inner(network), (features,)).module()
    torch.testing.assert_close(exported(features), network.inner(features))


def test_the_layers_over_mel_bands_can_be_recorded_as_a_graph(rng):
    network = small("mel_band_roformer").float()
    features = torch.randn(1, 12, 65, 4, generator=rng)
    exported = torch.export.export(Inner(network), (features,)).module()
    torch.testing.assert_close(exported(features), network.inner(features))


@pytest.mark.parametrize("architecture", BOTH)
@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(architecture, signal):
    network = small(architecture).float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("architecture", BOTH)
@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(architecture, shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small(architecture)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("architecture", "change", "words"),
    [
        ("bs_roformer", {"bands": (1000, 24)}, "bands must hold 1025 bins together, .* not 1024"),
        ("bs_roformer", {"bands": ()}, "each of one bin or more"),
        ("bs_roformer", {"bands": (1025, 0)}, "each of one bin or more"),
        ("bs_roformer", {"n_fft": 4096}, "bands must hold 2049"),
        ("bs_roformer", {"hop_length": 1025}, "hop_length at most n_fft / 2"),
        ("bs_roformer", {"head_channels": 63}, "head_channels must be even"),
        ("bs_roformer", {"depth": 10**9, "heads": 0}, "depth must be .*; heads must be"),
        ("bs_roformer", {"sources": tuple(map(str, range(65)))}, "sources must be at most 64"),
        ("bs_roformer", {"sources": tuple(map(str, range(64))), "mask_layers": 8}, "too many masks"),
        ("mel_band_roformer", {"bands": 400}, r"of 400 mel bands, band \d+ reaches no bin"),
        ("mel_band_roformer", {"bands": 1025}, "bands must be 1 to 1024"),
        ("mel_band_roformer", {"head_channels": 7}, "head_channels must be even"),
        ("mel_band_roformer", {"dropout": 1.0}, "dropout must be 0 to 0.9"),
        ("mel_band_roformer", {"hop_length": 2**30}, "hop_length must be 1 to 32768"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(architecture, change, words):
    with pytest.raises(ConfigError, match=words):
        CONFIGS[architecture](**change)
