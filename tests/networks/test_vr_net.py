"""What VR promises beyond what every network does."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

import signals
from networks.tiny import TINY, lively
from unbraid.config import structure
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.vr_net import Config, VRNet

SMALL = {**TINY["vr_net"], "mirror": False}


def small(**changes):
    """A network in float64, all of whose branches are alive."""
    network = VRNet(structure({**SMALL, **changes}, Config))
    network.load_state_dict(lively(network.state_dict()))
    return network.double().eval()


def noise(network, rng, *, length=None, batch=1):
    shape = (batch, network.spec.channels, length or network.spec.segment)
    return 0.3 * torch.randn(shape, generator=rng, dtype=torch.float64)


def test_it_says_of_itself_what_the_engine_must_know():
    with torch.device("meta"):
        first = VRNet().spec
        recurrent = VRNet(Config(layout="4band_v3", channels=48, recurrence=128)).spec
        slow = VRNet(Config(layout="2band_32000", channels=16)).spec
    assert (first.sample_rate, first.segment, first.context) == (44100, (8 * 256 + 256) * 512, 128 * 512)
    assert (recurrent.segment, recurrent.context) == ((8 * 384 + 128) * 480, 64 * 480)
    assert (slow.sample_rate, slow.context) == (32000, 128 * 352)
    assert first.limit == 3600 * 44100
    assert not first.fixed


def test_both_sources_make_what_the_bands_make_of_the_mixture(rng):
    network = small()
    mixture = noise(network, rng, batch=2)
    spectrum, _ = network.bands.analyse(mixture)
    expected = network.bands.synthesise(spectrum, mixture.shape[-1])
    torch.testing.assert_close(network(mixture).sum(1), expected)


def test_loudness_changes_nothing_but_loudness(rng):
    network = small()
    mixture = noise(network, rng)
    torch.testing.assert_close(network(1e-3 * mixture), 1e-3 * network(mixture))
    assert not network(torch.zeros_like(mixture)).any()


def test_each_window_is_looked_at_once_and_its_middle_is_used(rng):
    network = small()
    offset, used, window, hop = 8, 16, 32, 32
    assert (network.config.offset, network.config.used) == (offset, used)
    seen = []

    def inner(magnitudes):
        seen.append(magnitudes)
        return (torch.full_like(magnitudes, len(seen)),)

    mixture = noise(network, rng)
    frames = mixture.shape[-1] // hop + 1
    masks = network._masks(inner, torch.rand(1, 2, 65, frames, dtype=torch.float64, generator=rng))
    assert [tuple(part.shape) for part in seen] == [(1, 2, 65, window)] * 3
    assert masks[0, 0, 0].tolist() == [1] * (offset + used) + [2] * used + [3] * (used + offset + 1)


@pytest.mark.parametrize("length", [1, 31, 500, 1000])
def test_a_hop_that_is_not_filled_is_filled_with_silence(length, rng):
    network = small()
    mixture = noise(network, rng, length=length)
    filled = torch.nn.functional.pad(mixture, (0, -length % 32))
    torch.testing.assert_close(network(mixture), network(filled)[..., :length])


class Layers(torch.nn.Module):
    """The layers alone, as a runtime is given them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, magnitudes):
        return self.network.inner(magnitudes)


def test_a_runtime_may_run_the_layers(rng):
    network = small().float()
    window = torch.rand(1, 2, 65, 32, generator=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: there are newer ways, and sizes become constants
        traced = torch.jit.trace(Layers(network), window, check_trace=False)
    mixture = noise(network, rng, batch=2).float()
    torch.testing.assert_close(network.around(traced, mixture), network(mixture))


@pytest.mark.parametrize(
    ("aggressiveness", "accompaniment", "powers"),
    [
        (0.0, True, (1, 1)),
        (0.0, False, (1, 1)),
        (0.05, True, (1 + 0.1 / 3, 1.1)),
        (0.05, False, (1.3, 1.9)),
        (-0.5, True, (1 - 1 / 3, 0)),
    ],
)
def test_masks_are_sharpened_as_aggressively_as_asked(aggressiveness, accompaniment, powers, rng):
    network = small(aggressiveness=aggressiveness, accompaniment=accompaniment)
    assert network.config.powers == pytest.approx(powers)
    mask = torch.rand(1, 2, 65, 5, dtype=torch.float64, generator=rng)
    sharp = network._sharpened(mask)
    torch.testing.assert_close(sharp[:, :, :20], mask[:, :, :20] ** powers[0])
    torch.testing.assert_close(sharp[:, :, 20:], mask[:, :, 20:] ** powers[1])


def test_a_mirror_adds_what_is_above_all_bins(rng):
    network = small(mirror=True)
    mixture = noise(network, rng)
    plain = small()
    plain.load_state_dict(network.state_dict())
    added = network(mixture) - plain(mixture)
    top = network.bands.layout.bands[-1].stft
    gained = top(added).abs().mean((0, 1, 2, 4))
    assert gained[19:24].min() > 10 * gained[:12].max()


@pytest.mark.parametrize("signal", [signals.silence, signals.constant, signals.antiphase, signals.clipped])
def test_odd_signals_give_finite_estimates(signal):
    network = small(mirror=True).float()
    assert network(signal(network.spec.segment)[None]).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 2, 0), (1, 2, 2, 100)])
def test_another_shape_is_refused_with_the_one_that_works(shape):
    with pytest.raises(ShapeError, match=r"takes \(batch, channels, time\) with 2 channels and at least one"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ("vocals",)}, "there must be two sources, not 1"),
        ({"layout": "4band_44101"}, "did you mean"),
        ({"channels": 5}, "channels must be even, and with recurrence a multiple of 4"),
        ({"channels": 6, "recurrence": 8}, "channels must be even, and with recurrence a multiple of 4"),
        ({"recurrence": 10}, "recurrence must be a multiple of 4"),
        ({"window": 500}, "window must be a multiple of 16"),
        ({"levels": 6, "window": 480}, "window must be a multiple of 64"),
        ({"layout": "4band_v2", "levels": 5}, "672 bins must be a multiple of 64"),
        ({"views": 8, "aggressiveness": 2.0}, "views must be 5 to 7, not 8; aggressiveness must be"),
        ({"layout": "4band_v4_ms_fullband", "mirror": True}, "nothing to mirror"),
        ({"windows": 10**9}, "windows must be 1 to 1024"),
    ],
)
def test_numbers_that_make_no_network_are_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**change)


def test_a_window_too_short_for_the_published_edges_keeps_its_middle_half():
    config = Config()
    assert (config.offset, config.used) == (128, 256)
    assert dataclasses.replace(config, window=320).used == 64
    assert dataclasses.replace(config, window=256).used == 128
