"""Another sample rate by a ratio of small whole numbers: each output takes a phase of one windowed sinc.

    up = 1, down = 3        every third output of a low-pass filter
    up = 16, down = 3       15 zeros between two samples, a low-pass filter, every third output

The sinc is cut at the lower of both Nyquist frequencies and windowed by a Kaiser window; beyond its ends a
signal is silent. This is no resampler for audio files: `io.resample` is cleaner and streams. It is what
networks over several sample rates were trained with, and gradients pass through it.

Source: Crochiere and Rabiner, "Multirate digital signal processing", 1983, chapter 3; Kaiser, "Nonrecursive
digital filter design using the I0-sinh window function", 1974. Ten zeros and β = 5 are the defaults of
`scipy.signal.resample_poly`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

_ZEROS = 10  # crossings of the sinc on each side
_BETA = 5.0  # of the Kaiser window
_BLOCK = 64  # outputs of each phase per row of the product, as in `oversample`


def resample(signal: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """A signal at another sample rate; itself if that is the rate it has.

    Args:
        signal: `(..., T)`, float32 or float64.
        from_rate: Of the signal, in Hz or any other unit.
        to_rate: Of the result, in the same.

    Returns:
        `(..., ⌈T · to_rate / from_rate⌉)`; output k stands at the time of input k · from_rate / to_rate.

    >>> resample(torch.ones(7), 44100, 14700).shape
    torch.Size([3])
    """
    common = math.gcd(from_rate, to_rate)
    up, down = to_rate // common, from_rate // common
    if up == down:
        return signal
    *rows, length = signal.shape
    wanted = -(-length * up // down)
    if not signal.numel():
        return signal.new_zeros(*rows, wanted)
    kernels, before = _phases(up, down, signal)
    # Neighbouring outputs read nearly the same samples, so a block of them is one row of samples times a
    # banded matrix, which is several times as fast as a strided convolution of a single channel.
    taps, hop = kernels.shape[-1], _BLOCK * down
    reach = hop - down + taps  # samples that a block reads
    band = signal.new_zeros(_BLOCK, up, reach)
    for step in range(_BLOCK):
        band[step, :, step * down : step * down + taps] = kernels
    blocks = -(-wanted // (_BLOCK * up))
    padded = F.pad(signal.reshape(-1, length), (before, max(0, (blocks - 1) * hop + reach - before - length)))
    with torch.autocast(signal.device.type, enabled=False):
        made = padded.unfold(-1, reach, hop)[:, :blocks] @ band.flatten(0, 1).T  # (rows, blocks, _BLOCK · up)
    return made.flatten(1)[:, :wanted].reshape(*rows, wanted)


def _phases(up: int, down: int, like: Tensor) -> tuple[Tensor, int]:
    """The kernel of each of the `up` outputs that share `down` inputs, and how far it reaches back.

    Output j of them stands j · down / up inputs after the first; its kernel `(taps,)` begins `before` inputs
    ahead of that one.
    """
    half = _ZEROS * max(up, down)  # of the filter, at `up` times the input's rate
    before = half // up
    after = (half + (up - 1) * down) // up
    place = torch.arange(-before, after + 1, dtype=torch.float64)[None] * up
    place = torch.arange(up, dtype=torch.float64)[:, None] * down - place  # (up, taps), from the output back
    kernels = torch.where(place.abs() <= half, _filter(place, half, max(up, down)), 0.0)
    whole = torch.arange(-half, half + 1, dtype=torch.float64)
    gain = up / _filter(whole, half, max(up, down)).sum()  # a constant passes unchanged
    return (kernels * gain).to(like), before


def _filter(place: Tensor, half: int, ratio: int) -> Tensor:
    """A sinc with its first zero `ratio` samples from the middle, windowed to `half` on each side."""
    inside = (1 - (place / half).square()).clamp_min(0).sqrt()
    window: Tensor = torch.special.i0(_BETA * inside)
    return torch.sinc(place / ratio) * window
