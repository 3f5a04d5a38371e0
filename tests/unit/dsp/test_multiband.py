"""Several bands in one spectrum: the published program's stored answers, and what must hold anyway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reference.published_vr import bands_of, noise, places
from unbraid.dsp.multiband import Band, Coding, Layout, MultiBand, layout
from unbraid.errors import ConfigError

ANSWERS = np.load(Path(__file__).parents[2] / "golden/vr_net.npz")
LOW = Band(2000, 8, 64, (0, 20), low_pass=(10, 18))
HIGH = Band(8000, 32, 48, (2, 22), high_pass=(4, 2))


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[-1]), dtype=torch.float64)


def two_bands(**changes):
    return Layout(**{"bands": (LOW, HIGH), "bins": 40, **changes})


@pytest.mark.reference
@pytest.mark.parametrize(("name", "recurrent"), bands_of())
def test_each_layout_is_that_of_the_published_program(name, recurrent):
    bands = MultiBand(layout(name), by_band=recurrent)
    signal = torch.from_numpy(noise(name))
    spectrum, _ = bands.analyse(signal)
    back = bands.synthesise(spectrum, signal.shape[-1])
    for what, value in (("spectrum", spectrum.numpy()), ("signal", back.numpy())):
        kept = ANSWERS[f"{name}/{recurrent}/{what}"]
        assert np.linalg.norm(value.ravel()[places(value.size)] - kept) < 1e-6 * np.linalg.norm(kept)
        norm = ANSWERS[f"{name}/{recurrent}/{what}/norm"]
        assert np.linalg.norm(value) == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("coding", Coding)
def test_a_coding_is_undone(coding):
    one = Layout((Band(8000, 32, 64, (0, 33), coding=coding),), 32 + 1, coding=coding)
    signal = randn(3, 2, 320)
    for by_band in (False, True):
        bands = MultiBand(one, by_band=by_band)
        spectrum, _ = bands.analyse(signal)
        torch.testing.assert_close(bands.synthesise(spectrum, 320), signal)
    if coding is not Coding.STEREO:
        plain, _ = MultiBand(Layout((Band(8000, 32, 64, (0, 33)),), 33), by_band=True).analyse(signal)
        assert not torch.allclose(spectrum, plain)


@pytest.mark.parametrize("by_band", [False, True])
@pytest.mark.parametrize("length", [1, 31, 32, 33, 500])
def test_any_length_comes_back_as_if_silence_followed(length, by_band):
    bands = MultiBand(two_bands(pre_filter=(30, 36), reverse=not by_band), by_band=by_band)
    signal = randn(2, length)
    whole = torch.nn.functional.pad(signal, (0, -length % 32))
    spectrum, _ = bands.analyse(signal)
    assert spectrum.shape == (2, 41, -(-length // 32) + 1)
    assert spectrum.equal(bands.analyse(whole)[0])
    assert bands.synthesise(spectrum, length).equal(bands.synthesise(spectrum, whole.shape[-1])[:, :length])


def test_a_spectrum_read_backwards_is_that_of_the_signal_reversed():
    signal = randn(2, 320)
    one = Layout((HIGH,), 20, reverse=True)
    reverse, _ = MultiBand(one, by_band=False).analyse(signal)
    ahead, _ = MultiBand(one, by_band=True).analyse(signal.flip(-1))
    torch.testing.assert_close(reverse, ahead)


def test_a_mirror_fills_the_top_and_is_nowhere_louder_than_the_mixture():
    mirrored = two_bands(pre_filter=(30, 34))
    assert mirrored.mirrored == 6
    bands = MultiBand(mirrored, by_band=True)
    signal = randn(2, 640)
    spectrum, above = bands.analyse(signal)
    assert above.shape == (2, 6, 21)
    plain = bands.synthesise(spectrum, 640)
    mixed = bands.synthesise(spectrum, 640, above)
    stft = HIGH.stft
    gained = (stft(mixed) - stft(plain)).abs().mean((0, 2))
    assert gained[18:24].min() > 10 * gained[:12].max()
    assert (stft(mixed) - stft(plain)).abs().mean() < stft(signal).abs().mean()
    torch.testing.assert_close(bands.synthesise(spectrum, 640, torch.zeros_like(above)), plain)


def test_gradients_pass_both_ways():
    bands = MultiBand(two_bands(pre_filter=(30, 34)), by_band=True)
    signal = randn(2, 160).requires_grad_()

    def there_and_back(signal):
        spectrum, above = bands.analyse(signal)
        return bands.synthesise(spectrum, 160, above)

    there_and_back(signal).square().sum().backward()
    assert signal.grad.isfinite().all()
    assert signal.grad.abs().min() > 0


@pytest.mark.parametrize(
    "change",
    [
        {"crop": ()},
        {"crop": (5, 5)},
        {"crop": (0, 26)},
        {"low_pass": (18, 10)},
        {"high_pass": (2, 4)},
        {"high_pass": (4,)},
        {"sample_rate": 0},
    ],
)
def test_numbers_that_make_no_band_are_refused(change):
    with pytest.raises(ConfigError, match="is no band: it has 25 bins"):
        Band(**{"sample_rate": 8000, "hop_length": 32, "n_fft": 48, "crop": (2, 22), **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bins": 39}, "40 bins, more than the spectrum's 39"),
        ({"bands": ()}, "1 to 16 bands"),
        ({"bins": 2**30}, "1 to 32768 bins"),
        ({"bands": (HIGH, LOW)}, "sample rates must not fall"),
        ({"bands": (LOW, Band(8000, 30, 48, (2, 22)))}, "hops must be equally long"),
        ({"pre_filter": (30,)}, "two bins of the spectrum"),
        ({"pre_filter": (30, 41)}, "two bins of the spectrum"),
    ],
)
def test_bands_that_make_no_layout_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        two_bands(**change)


def test_an_unknown_layout_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean .*4band_44100"):
        layout("4bands_44100")
