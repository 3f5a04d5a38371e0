"""Sample-rate conversion, whole and in blocks, with soxr.

Quality is soxr's VHQ: it costs what HQ does on today's processors (both about a thousandth of the time the
audio lasts) and keeps a 16 kHz band through 48 → 44.1 → 48 kHz some 8 dB more exactly.

soxr takes away its own delay: output sample k stands at the time of input sample k · from / to. It asks for
a little more input before it gives the last outputs, which is what `finish` is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch

from unbraid.audio import Audio

if TYPE_CHECKING:
    from torch import Tensor


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """How many samples become of `length`: the nearest whole number, halves up.

    >>> resampled_length(44101, 44100, 48000)
    48001
    """
    return (2 * length * to_rate + from_rate) // (2 * from_rate)


class Resampler:
    """Changes the sample rate of a stream; the sizes of its blocks never change the result.

    With equal rates the samples pass untouched.

    Args:
        from_rate: Of what is pushed, in Hz.
        to_rate: Of what comes out, in Hz.
        channels: How many.
        length: Samples that shall come out altogether, padded with the filter's own tail or cut at the end;
            None: `resampled_length` of what was pushed.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int, *, length: int | None = None) -> None:
        self._rates, self._channels, self._length = (from_rate, to_rate), channels, length
        self._taken = self._given = 0
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")

    def push(self, block: Tensor, /) -> Tensor:
        """Take a block and give what is finished.

        Args:
            block: `(channels, n)`.

        Returns:
            `(channels, m)`, m ≥ 0; in float32 unless the rates are equal.
        """
        self._taken += block.shape[1]
        return self._limited(block if self._stream is None else self._converted(block))

    def finish(self) -> Tensor:
        """Give the rest, `(channels, m)`; the resampler is spent afterwards."""
        from_rate, to_rate = self._rates
        if self._length is None:
            self._length = resampled_length(self._taken, from_rate, to_rate)
        short = max(0, self._length - resampled_length(self._taken, from_rate, to_rate))
        tail = []
        if self._stream is not None:
            silence = torch.zeros(self._channels, -(-short * from_rate // to_rate))
            tail.append(self._limited(self._converted(silence)))
            tail.append(self._limited(self._converted(silence[:, :0], last=True)))
        missing = torch.zeros(self._channels, self._length - self._given)
        return torch.cat([*tail, missing], 1)

    def _converted(self, block: Tensor, *, last: bool = False) -> Tensor:
        assert self._stream is not None  # noqa: S101 - its callers have looked
        frames = np.ascontiguousarray(block.detach().T.numpy(), dtype=np.float32)
        return torch.from_numpy(np.ascontiguousarray(self._stream.resample_chunk(frames, last).T))

    def _limited(self, samples: Tensor) -> Tensor:
        """What of these the total length leaves room for."""
        room = samples.shape[1] if self._length is None else max(0, self._length - self._given)
        self._given += min(room, samples.shape[1])
        return samples[:, :room]


def resample(audio: Audio, sample_rate: int) -> Audio:
    """The same sound at another rate; the very same samples if it is the rate it has.

    Args:
        audio: Any audio.
        sample_rate: Of the result, in Hz.

    Returns:
        Audio of `resampled_length` samples, in float32 where the rate changed.
    """
    resampler = Resampler(audio.sample_rate, sample_rate, audio.channels)
    samples = torch.cat([resampler.push(audio.samples), resampler.finish()], 1)
    return Audio(samples, sample_rate)
