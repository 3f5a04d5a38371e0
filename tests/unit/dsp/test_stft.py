"""The short-time Fourier transform: its inverse, its definition, its edges."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from unbraid.dsp.stft import Padding, Scaling, Stft, Window, pad
from unbraid.errors import ConfigError, ShapeError


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (16, 8), (16, 2), (24, 6), (16, 5), (30, 4)])
@pytest.mark.parametrize("edges", list(itertools.product(Padding, Scaling, Window)))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_inverse_undoes_a_centred_transform(n_fft, hop, edges, dtype, tolerance):
    padding, scaling, window = edges
    stft = Stft(n_fft, hop, padding=padding, scaling=scaling, window=window)
    for length in [*range(3 * n_fft), 1000]:
        signal = noise(2, length, seed=length, dtype=dtype)
        spectrum = stft(signal)
        assert spectrum.shape == (2, n_fft // 2 + 1, length // hop + 1)
        torch.testing.assert_close(stft.inverse(spectrum, length), signal, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (16, 8), (24, 6), (16, 5)])
def test_the_inverse_undoes_an_uncentred_transform_wherever_a_window_reaches(n_fft, hop):
    stft = Stft(n_fft, hop, centred=False)
    for length in range(n_fft, 5 * n_fft):
        signal = noise(length, seed=length)
        spectrum = stft(signal)
        covered = (spectrum.shape[-1] - 1) * hop + n_fft
        back = stft.inverse(spectrum, length)
        torch.testing.assert_close(back[1:covered], signal[1:covered], rtol=0, atol=1e-10)
        assert not back[0]
        assert not back[covered:].any()


@pytest.mark.parametrize("shape", Window)
@pytest.mark.parametrize("scaling", Scaling)
@pytest.mark.parametrize("centred", [False, True])
def test_a_frame_is_the_fourier_sum_of_its_windowed_samples(centred, scaling, shape):
    n_fft, hop, signal = 12, 3, noise(40)
    stft = Stft(n_fft, hop, centred=centred, scaling=scaling, padding=Padding.ZERO, window=shape)
    spectrum = stft(signal).numpy()
    samples = np.pad(signal.numpy(), n_fft // 2) if centred else signal.numpy()
    time = np.arange(n_fft)
    window = np.ones(n_fft) if shape is Window.RECTANGULAR else 0.5 - 0.5 * np.cos(2 * np.pi * time / n_fft)
    scale = 1 / math.sqrt(n_fft) if scaling is Scaling.UNITARY else 1.0
    for frame in range(spectrum.shape[1]):
        part = samples[frame * hop : frame * hop + n_fft] * window
        for bin_ in range(n_fft // 2 + 1):
            expected = scale * np.sum(part * np.exp(-2j * np.pi * bin_ * time / n_fft))
            assert spectrum[bin_, frame] == pytest.approx(expected, abs=1e-12)


def test_the_inverse_of_another_spectrum_is_the_nearest_signal():
    """Least squares: no step away from the answer brings its frames closer to the spectrum."""
    stft = Stft(16, 4)
    wanted = torch.complex(noise(9, 11), noise(9, 11, seed=1))
    wanted[[0, -1]] = wanted[[0, -1]].real + 0j  # the lowest and highest bins of a real signal are real

    def distance(signal):
        # Bins between stand for two, one of positive and one of negative frequency.
        weights = torch.tensor([1.0, *[2.0] * 7, 1.0], dtype=torch.float64)[:, None]
        frames = torch.stft(signal, 16, 4, window=torch.hann_window(16).double(), center=False,
                            return_complex=True)  # fmt: skip
        return (weights * (frames - wanted).abs().square()).sum()

    uncentred = Stft(16, 4, centred=False)
    nearest = uncentred.inverse(wanted, 56)
    best = distance(nearest)
    for seed in range(20):
        assert distance(nearest + 1e-3 * noise(56, seed=seed)) > best
    assert stft.inverse(wanted, 40).shape == (40,)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 2)])
def test_leading_axes_are_carried_along(shape):
    stft, signal = Stft(16, 4), noise(*shape, 50)
    spectrum = stft(signal)
    assert spectrum.shape == (*shape, 9, 13)
    flat = [stft(row) for row in signal.reshape(-1, 50)]
    torch.testing.assert_close(spectrum.reshape(-1, 9, 13), torch.stack(flat))
    assert stft.inverse(spectrum, 50).shape == signal.shape


def test_gradients_flow_both_ways():
    stft = Stft(8, 2)
    signal = noise(2, 21).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stft.inverse(2 * stft(x), 21), signal)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 5), (5, 3), (0, 4), (4, 0), (1, 1)])
@pytest.mark.parametrize("padding", Padding)
def test_padding_keeps_the_signal_and_adds_what_was_asked(left, right, padding):
    for length in range(12):
        signal = noise(2, length, seed=length)
        padded = pad(signal, left, right, padding)
        assert padded.shape == (2, left + length + right)
        assert padded[:, left : left + length].equal(signal)


@pytest.mark.parametrize("length", [6, 7, 20])
def test_a_reflection_is_numpys_where_the_signal_is_long_enough(length):
    signal = noise(2, length)
    expected = np.pad(signal.numpy(), ((0, 0), (3, 5)), mode="reflect")
    assert np.array_equal(pad(signal, 3, 5).numpy(), expected)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 9), (16, 16), (16, 0), (15, 5), (0, 1)])
def test_a_hop_that_leaves_samples_under_one_window_is_refused(n_fft, hop):
    with pytest.raises(ConfigError, match="hop_length at most n_fft / 2"):
        Stft(n_fft, hop)


def test_a_signal_without_a_whole_frame_is_refused_with_the_cure():
    with pytest.raises(ShapeError, match="15 samples holds no frame of 16; pad it"):
        Stft(16, 4, centred=False)(torch.zeros(15))


@pytest.mark.parametrize("shape", [(8, 3), (9,)])
def test_a_spectrum_of_another_size_is_refused(shape):
    with pytest.raises(ShapeError, match=r"\(\.\.\., bins, frames\) with 9 bins"):
        Stft(16, 4).inverse(torch.zeros(shape, dtype=torch.complex64), 10)
