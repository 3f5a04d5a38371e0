"""Twice the sample rate and back, by windowed sincs, as networks that oversample were trained with.

Both filters pass 94.5 % of the lower rate's band; beyond its ends a signal stays at its last value. This is
no resampler for audio files: `io.resample` is cleaner and streams. These two are what published weights
expect, and gradients pass through them.

Source: Smith, "Digital audio resampling", https://ccrma.stanford.edu/~jos/resample/; number of zeros,
roll-off and window are the defaults of the package julius 0.2.7.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_ZEROS = 24  # zero crossings of the sinc on each side
_ROLLOFF = 0.945  # share of the lower rate's band that passes
_BLOCK = 64  # outputs of each phase per row of the product; 32 is as fast, and copies more


def upsample(signal: Tensor) -> Tensor:
    """A signal at twice its sample rate.

    Args:
        signal: `(..., T)`, floating.

    Returns:
        `(..., 2T)`.

    >>> upsample(torch.ones(3)).shape
    torch.Size([6])
    """
    return _resampled(signal, old=1, new=2)


def downsample(signal: Tensor) -> Tensor:
    """A signal at half its sample rate, without what that rate cannot hold.

    Args:
        signal: `(..., T)`, floating.

    Returns:
        `(..., T // 2)`.

    >>> downsample(torch.ones(7)).shape
    torch.Size([3])
    """
    return _resampled(signal, old=2, new=1)


def _resampled(signal: Tensor, old: int, new: int) -> Tensor:
    """A signal at the sample rate `new` where it had `old`; both are small.

    Neighbouring outputs read nearly the same samples, so a block of them is one row of samples times a
    banded matrix: eight times as fast as a strided convolution of a single channel.
    """
    *rows, length = signal.shape
    wanted = length * new // old
    if not signal.numel():
        return signal.new_zeros(*rows, wanted)
    kernels = _kernels(old, new).to(signal)
    taps, hop = kernels.shape[-1], _BLOCK * old
    reach = hop - old + taps  # samples that a block reads
    band = signal.new_zeros(_BLOCK, new, reach)
    for step in range(_BLOCK):
        band[step, :, step * old : step * old + taps] = kernels
    before, blocks = (taps - old) // 2, max(1, -(-wanted // (_BLOCK * new)))
    after = (blocks - 1) * hop + reach - before - length
    padded = F.pad(signal.reshape(-1, 1, length), (before, after), mode="replicate")[:, 0]
    resampled = padded.unfold(-1, reach, hop) @ band.flatten(0, 1).T  # (rows, blocks, _BLOCK · new)
    return resampled.flatten(1)[:, :wanted].reshape(*rows, wanted)


def _kernels(old: int, new: int) -> Tensor:
    """A windowed sinc for each of the `new` outputs that share a place in the input, `(new, taps)`.

    Output j stands at input position `j · old / new`. Each kernel passes a constant unchanged. They are made
    in float32, whatever the signal's precision: the weights were trained so.
    """
    rate = _ROLLOFF * min(old, new)
    width = math.ceil(_ZEROS * old / rate)
    place = torch.arange(-width, width + old, dtype=torch.float32, device="cpu") / old
    kernels = []
    for phase in range(new):
        angle = math.pi * ((place - phase / new) * rate).clamp(-_ZEROS, _ZEROS)
        kernel = torch.special.sinc(angle / math.pi) * (angle / (2 * _ZEROS)).cos() ** 2
        kernels.append(kernel / kernel.sum())
    return torch.stack(kernels)
