"""The short-time Fourier transform with its exact inverse; what happens at the edges is said aloud.

    centred        frame n looks at n_fft samples around sample n · hop_length; the edges are padded
    not centred    frame n begins on sample n · hop_length; nothing is padded

The window is n_fft samples long. The inverse adds the windowed frames and divides by the sum of the squared
windows: the least-squares inverse, exact wherever a window reaches.

Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from unbraid.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor


class Padding(str, Enum):
    """What stands beyond the edges of a signal."""

    REFLECT = "reflect"  # the signal mirrored at its first and last sample
    ZERO = "constant"


class Scaling(str, Enum):
    """By what a spectrum is multiplied."""

    PLAIN = "plain"  # by nothing: bin 0 is the sum over the windowed frame
    UNITARY = "unitary"  # by 1/√n_fft: a frame and its two-sided spectrum have equal energy


class Window(str, Enum):
    """How the samples of a frame count."""

    HANN = "hann"  # periodic
    RECTANGULAR = "rectangular"  # all alike


@dataclass(frozen=True, slots=True)
class Stft:
    """Spectra of short overlapping frames of a signal, and the signal back from them.

    Args:
        n_fft: Samples of a frame; even.
        hop_length: Samples between the starts of two frames; at most half of `n_fft`, if not `sparse`.
        centred: Whether frames are centred on multiples of the hop; otherwise they begin there.
        padding: What stands beyond the edges of a centred transform.
        scaling: By what the spectrum is multiplied.
        window: How the samples of a frame count.
        sparse: True: the hop may be any shorter than a frame. Every sample still lies under a window, but
            some under the foot of one alone, where the inverse makes much of an error.

    Raises:
        ConfigError: If frames are odd, or the hop is longer than half of one, or as long if `sparse`.

    >>> stft = Stft(n_fft=8, hop_length=2)
    >>> signal = torch.arange(10.0)
    >>> stft(signal).shape
    torch.Size([5, 6])
    >>> torch.allclose(stft.inverse(stft(signal), length=10), signal, atol=1e-5)
    True
    """

    n_fft: int
    hop_length: int
    centred: bool = True
    padding: Padding = Padding.REFLECT
    scaling: Scaling = Scaling.PLAIN
    window: Window = Window.HANN
    sparse: bool = False

    def __post_init__(self) -> None:
        n_fft, hop = self.n_fft, self.hop_length
        if n_fft < 2 or n_fft % 2 or not 1 <= hop <= (n_fft - 1 if self.sparse else n_fft // 2):
            raise ConfigError(
                f"frames of {n_fft} samples with a hop of {hop} were asked for; "
                f"n_fft must be even and hop_length {'below n_fft' if self.sparse else 'at most n_fft / 2'}"
            )

    def __call__(self, samples: Tensor) -> Tensor:
        """The spectrum of each frame.

        Args:
            samples: `(..., time)`, float32 or float64.

        Returns:
            Complex, `(..., n_fft / 2 + 1, frames)`: `time // hop_length + 1` frames if centred,
            otherwise as many as fit.

        Raises:
            ShapeError: If not a single frame fits.
        """
        if self.centred:
            samples = pad(samples, self.n_fft // 2, self.n_fft // 2, self.padding)
        if samples.shape[-1] < self.n_fft:
            raise ShapeError(
                f"a signal of {samples.shape[-1]} samples holds no frame of {self.n_fft}; "
                "pad it, or use a centred transform"
            )
        frames = torch.stft(
            samples.reshape(-1, samples.shape[-1]),
            self.n_fft,
            self.hop_length,
            window=self._window(samples),
            center=False,
            normalized=self.scaling is Scaling.UNITARY,
            return_complex=True,
        )
        return frames.view(*samples.shape[:-1], *frames.shape[-2:])

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """The signal whose frames come closest to a spectrum.

        Args:
            spectrum: Complex, `(..., n_fft / 2 + 1, frames)`.
            length: Samples wanted, counted from the signal's first.

        Returns:
            `(..., length)`. A sample under no window is zero: the first of an uncentred transform, where
            a Hann window is zero, and all behind the last frame.

        Raises:
            ShapeError: If the spectrum has another number of bins.
        """
        if spectrum.ndim < 2 or spectrum.shape[-2] != self.n_fft // 2 + 1:
            raise ShapeError(
                f"the spectrum is {tuple(spectrum.shape)}; it must be (..., bins, frames) "
                f"with {self.n_fft // 2 + 1} bins"
            )
        norm = "ortho" if self.scaling is Scaling.UNITARY else "backward"
        frames = torch.fft.irfft(spectrum.transpose(-1, -2), self.n_fft, norm=norm)  # (..., frames, n_fft)
        window = self._window(frames)
        start = self.n_fft // 2 if self.centred else 0
        wanted = slice(start, start + length)
        total = self._overlap_add(frames * window)[..., wanted]
        weight = self._overlap_add(window.square().expand(frames.shape[-2:]))[wanted]
        samples = total / weight.clamp_min(torch.finfo(weight.dtype).tiny)
        return F.pad(samples, (0, length - samples.shape[-1]))

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Frames `(..., frames, n_fft)`, each a hop after the one before, summed to `(..., time)`.

        A frame is `parts` rows of one hop each, the last filled up with zeros; row k of all frames lands k
        rows further down.
        """
        parts = -(-self.n_fft // self.hop_length)
        count = frames.shape[-2]
        if filling := parts * self.hop_length - self.n_fft:
            frames = F.pad(frames, (0, filling))
        rows = frames.view(*frames.shape[:-1], parts, self.hop_length)
        total = frames.new_zeros(*frames.shape[:-2], count + parts - 1, self.hop_length)
        for part in range(parts):
            total[..., part : part + count, :] += rows[..., part, :]
        return total.flatten(-2)

    def _window(self, like: Tensor) -> Tensor:
        # Made on each call, which costs microseconds: nothing to move between devices, nothing to store.
        make = torch.hann_window if self.window is Window.HANN else torch.ones
        return make(self.n_fft, dtype=like.dtype, device=like.device)


def pad(samples: Tensor, left: int, right: int, padding: Padding = Padding.REFLECT) -> Tensor:
    """A signal with more of itself, or with zeros, at both ends.

    A reflection needs a signal longer than itself. One that is too short is first lengthened with zeros,
    on the right as far as the padding there goes, then on the left; the result's length is always
    `left + time + right`.

    Args:
        samples: `(..., time)`.
        left: Samples to put before the first.
        right: Samples to put behind the last.
        padding: What they are.

    Returns:
        `(..., left + time + right)`.

    >>> pad(torch.tensor([1.0, 2.0, 3.0]), 2, 1)
    tensor([3., 2., 1., 2., 3., 2.])
    >>> pad(torch.tensor([1.0, 2.0]), 2, 1)
    tensor([0., 2., 1., 2., 0.])
    """
    if padding is Padding.ZERO or not (left or right):
        return F.pad(samples, (left, right))
    missing = max(0, max(left, right) + 1 - samples.shape[-1])
    zeros_right = min(right, missing)
    zeros_left = missing - zeros_right
    if missing:
        samples = F.pad(samples, (zeros_left, zeros_right))
    flat = samples.reshape(-1, 1, samples.shape[-1])  # reflection is defined on (batch, channel, time)
    flat = F.pad(flat, (left - zeros_left, right - zeros_right), mode="reflect")
    return flat.view(*samples.shape[:-1], flat.shape[-1])
