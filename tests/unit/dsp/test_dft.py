"""The Fourier transform as a matrix: its definition and its inverse."""

from __future__ import annotations

import pytest
import torch

from unbraid.dsp import dft


@pytest.mark.parametrize("length", [2, 4, 6, 30, 476])
def test_both_matrices_are_the_fast_transform(length, rng):
    signal = torch.randn(3, length, generator=rng, dtype=torch.float64)
    spectrum = torch.fft.rfft(signal, norm="ortho")
    parts = signal @ dft.analysis(length, like=signal)
    torch.testing.assert_close(parts, torch.cat([spectrum.real, spectrum.imag], dim=-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(parts @ dft.synthesis(length, like=signal), signal, rtol=0, atol=1e-12)


def test_what_no_real_signal_has_is_not_heard(rng):
    parts = torch.randn(2 * 9, generator=rng, dtype=torch.float64)
    expected = torch.fft.irfft(torch.complex(parts[:9], parts[9:]), norm="ortho")
    torch.testing.assert_close(parts @ dft.synthesis(16, like=parts), expected, rtol=0, atol=1e-12)


def test_a_long_transform_is_exact_to_the_precision_asked_for(rng):
    signal = torch.randn(2048, generator=rng)
    spectrum = torch.fft.rfft(signal.double(), norm="ortho")
    parts = signal @ dft.analysis(2048, like=signal)
    torch.testing.assert_close(parts[:1025].double(), spectrum.real, rtol=0, atol=1e-5)
