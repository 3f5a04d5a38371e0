"""The discrete Fourier transform of real signals as a product with a real matrix.

Runtimes that know no complex numbers can run it. Of a few hundred samples it costs little more than a fast
transform, and real and imaginary parts come side by side, as networks want them:

    [ x₀ … x_T₋₁ ] · analysis(T) = [ Re X₀ … Re X_T/2 | Im X₀ … Im X_T/2 ]

Both matrices are at unitary scale, 1/√T.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def analysis(length: int, *, like: Tensor) -> Tensor:
    """The matrix that makes spectra of signals.

    Args:
        length: Samples of a signal, T; even.
        like: The matrix has its precision and device.

    Returns:
        `(T, 2 · (T / 2 + 1))`: columns of real parts, then of imaginary ones.

    >>> spectrum = torch.ones(4) @ analysis(4, like=torch.zeros(1))
    >>> spectrum.abs().round().tolist()
    [2.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    cosines, sines = _turns(length, like.device)
    return torch.cat([cosines, -sines], dim=1).to(like.dtype)


def synthesis(length: int, *, like: Tensor) -> Tensor:
    """The matrix that makes signals of spectra.

    Imaginary parts of the lowest and the highest bin, which no real signal has, are not heard.

    Args:
        length: Samples of a signal, T; even.
        like: The matrix has its precision and device.

    Returns:
        `(2 · (T / 2 + 1), T)`: rows for real parts, then for imaginary ones.

    >>> (torch.tensor([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]) @ synthesis(4, like=torch.zeros(1))).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    cosines, sines = _turns(length, like.device)
    weight = torch.full((cosines.shape[1], 1), 2.0, dtype=cosines.dtype, device=like.device)
    weight[[0, -1]] = 1.0  # bins between stand for two, one of positive and one of negative frequency
    return torch.cat([weight * cosines.T, -weight * sines.T]).to(like.dtype)


def _turns(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each sample's turn in each bin, `(T, T / 2 + 1)`, in float64 at unitary scale."""
    samples = torch.arange(length, device=device)
    bins = torch.arange(length // 2 + 1, device=device)
    # Whole turns are taken off while numbers are integers, where nothing is rounded.
    angles = (samples[:, None] * bins % length).double() * (2 * math.pi / length)
    scale = 1 / math.sqrt(length)
    return scale * angles.cos(), scale * angles.sin()
