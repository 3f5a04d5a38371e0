"""The bricks of hybrid Demucs: levels, bands and the spectrogram that keeps step with the hops."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks.tiny import lively
from unbraid.networks.layers import hybrid_levels
from unbraid.networks.layers.dconv import DConv
from unbraid.networks.layers.frequency_bands import (
    BandedDecoder,
    BandedEncoder,
    decoder_bands,
    encoder_bands,
)
from unbraid.networks.layers.hybrid_levels import Decoder, Encoder, Level, few_bins_at_a_time
from unbraid.networks.layers.hybrid_spectrum import HopSpectrum, separate_in_both

LEVEL = Level(8, 4, 2, spectral=True, residual=partial(DConv, compress=4, depth=2, init=1e-3))
RATIOS = st.lists(st.floats(0.05, 0.95), min_size=1, max_size=4, unique=True).map(lambda r: tuple(sorted(r)))


def double(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alive(module):
    module.load_state_dict(lively(module.state_dict()))
    return module.double().eval()


@pytest.mark.parametrize("groups", [0, 2])
@pytest.mark.parametrize("spectral", [False, True])
def test_a_decoder_leads_back_to_the_length_its_encoder_was_given(spectral, groups):
    level = dataclasses.replace(LEVEL, spectral=spectral, groups=groups)
    encoder, decoder = alive(Encoder(4, 8, level)), alive(Decoder(8, 4, level, last=False))
    for steps in (1, 3, 16, 17):
        x = double(2, 4, 32, steps) if spectral else double(2, 4, steps)
        below = encoder(x)
        assert decoder(below, below, steps).shape == x.shape


@pytest.mark.parametrize("groups", [0, 2])
def test_a_level_does_not_depend_on_how_many_bins_are_refined_at_once(monkeypatch, groups):
    level = dataclasses.replace(LEVEL, groups=groups)
    encoder, decoder = alive(Encoder(4, 8, level)), alive(Decoder(8, 4, level, last=True))
    x, below = double(1, 4, 64, 5), double(1, 8, 16, 5)
    expected = encoder(x), decoder(below, below, 5)
    monkeypatch.setattr(hybrid_levels, "_CACHED", 8 * 5 * 3)
    torch.testing.assert_close((encoder(x), decoder(below, below, 5)), expected)


def test_few_bins_at_a_time_are_all_bins():
    x = double(2, 3, 7, 5)
    assert few_bins_at_a_time(lambda part: part + 1, x).equal(x + 1)


@given(RATIOS, st.sampled_from([32, 64, 100, 512]))
@settings(deadline=None, max_examples=40)
def test_bands_lie_side_by_side(ratios, bins):
    for bands, made in ((encoder_bands(ratios, bins, 4), bins // 4), (decoder_bands(ratios, bins), bins)):
        assert [band.start for band in bands[1:]] == [band.stop for band in bands[:-1]]
        assert (bands[0].start, bands[-1].stop) == (0, made)


@pytest.mark.parametrize("ratios", [(0.5,), (0.1, 0.3), (0.2, 0.4, 0.6, 0.8)])
@pytest.mark.parametrize("last", [False, True])
def test_equal_weights_in_all_bands_make_one_plain_level(ratios, last):
    level = dataclasses.replace(LEVEL, sees_bins=False)
    pairs = [
        (Encoder(4, 8, level), BandedEncoder(4, 8, level, ratios), (double(2, 4, 128, 5),)),
        (
            Decoder(8, 4, level, last=last),
            BandedDecoder(8, 4, level, ratios, last=last),
            (double(2, 8, 32, 5), double(2, 8, 32, 5, seed=1), 5),
        ),
    ]
    for plain, banded, inputs in pairs:
        alive(plain)
        for layer in banded.double().layers:
            layer.load_state_dict(plain.state_dict())
        torch.testing.assert_close(banded(*inputs), plain(*inputs))


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
def test_a_spectrum_has_one_frame_a_hop_and_half_as_many_bins_as_samples(length):
    for late in (False, True):
        spectrum = HopSpectrum(256, late=late)(double(2, 2, length))
        assert spectrum.shape == (2, 2, 128, -(-length // 64))


@pytest.mark.parametrize("parts", [False, True])
def test_a_spectrum_leads_back_to_its_waveform(parts):
    """Away from the edges, where frames are missing, and but for the highest bin, which is dropped."""
    spectrum, tone = HopSpectrum(256, parts=parts), torch.sin(torch.arange(2000.0).double() / 7)
    mixture = spectrum(tone[None, None])
    waveform = spectrum.waveform(spectrum.features(mixture), mixture, 2000)[0, 0]
    torch.testing.assert_close(waveform[256:-256], tone[256:-256], rtol=0, atol=1e-4)


def test_a_late_spectrum_leads_to_its_waveform_late():
    spectrum, tone = HopSpectrum(256, late=True), torch.sin(torch.arange(2000.0).double() / 7)
    mixture = spectrum(tone[None, None])
    waveform = spectrum.waveform(spectrum.features(mixture), mixture, 2000)[0, 0]
    torch.testing.assert_close(waveform[512:-512], tone[512 - 96 : -512 - 96], rtol=0, atol=1e-4)


def test_magnitudes_sound_at_the_phase_of_the_mixture_and_silence_has_phase_zero():
    spectrum = HopSpectrum(256, parts=False)
    mixture = torch.zeros(1, 1, 128, 8, dtype=torch.complex128)
    mixture[..., 4:] = 3j
    louder = spectrum.waveform(torch.full((1, 1, 128, 8), -2.0).double(), mixture, 500)
    direct = torch.where(mixture == 0, -2 + 0j, -2j).to(mixture.dtype)
    parts = HopSpectrum(256)
    torch.testing.assert_close(louder, parts.waveform(parts.features(direct), direct, 500))


@pytest.mark.parametrize("parts", [False, True])
def test_a_network_sees_both_domains_at_mean_zero_and_deviation_one(parts):
    seen = []

    def separate(x, xt):
        seen.extend([x, xt])
        return torch.cat([x, x], dim=1), torch.cat([xt, xt], dim=1)

    signal = 5 + 30 * double(3, 2, 1000)
    spectrum = HopSpectrum(256, parts=parts)
    estimates = separate_in_both(separate, signal, spectrum, 2, torch.float64)
    for features in seen:
        torch.testing.assert_close(features.flatten(1).mean(1), torch.zeros(3).double())
        torch.testing.assert_close(features.flatten(1).std(1), torch.ones(3).double(), atol=1e-4, rtol=0)
    mixture = spectrum(signal)
    both = signal + spectrum.waveform(spectrum.features(mixture), mixture, 1000)
    torch.testing.assert_close(estimates, both[:, None].expand(-1, 2, -1, -1), atol=1e-3, rtol=1e-5)


def test_a_single_sample_deviates_by_nothing():
    estimates = separate_in_both(lambda x, xt: (x, xt), double(1, 1, 1), HopSpectrum(64), 1, torch.float64)
    assert estimates.isfinite().all()
