"""Overlapping bands whose centres are equally far apart to a musician."""

from __future__ import annotations

import math

import numpy as np

from unbraid.errors import ConfigError

_A4_HZ, _A4_KEY = 440.0, 69  # of MIDI, whose lowest key, 0, is at 8.2 Hz


def musical_bands(sample_rate: int, n_fft: int, count: int) -> tuple[tuple[int, int], ...]:
    """First bin, and the one behind the last, of bands that are equally wide in octaves.

    Centres go in equal ratios from bin 1, or from MIDI's lowest key if that is higher, to the highest bin.
    The octaves from bin 1 to the highest are shared out among the bands; a band reaches as many down, and as
    many up, as are its share. The first band begins at bin 0.

    Args:
        sample_rate: In Hz.
        n_fft: Samples of a frame.
        count: How many bands, at least 2.

    Raises:
        ConfigError: If there are too few bands to leave no bin out.

    Source:
        Watcharasupat et al., "A generalized bandsplit neural network for cinematic audio source separation",
        2024, section III.B. Frequencies go through keys, as in its published code, which decides where an
        edge falls that is a whole bin but for rounding.

    >>> musical_bands(44100, 64, 6)
    ((0, 3), (1, 5), (2, 9), (4, 16), (8, 30), (17, 33))
    """
    bins, width = n_fft // 2 + 1, sample_rate / n_fft  # of a bin, in Hz
    reach = 2.0 ** (math.log2(sample_rate / 2 / width) / count)
    keys = np.linspace(max(0.0, _key(width)), _key(sample_rate / 2), count)
    centres = (_A4_HZ * 2.0 ** ((keys - _A4_KEY) / 12)).tolist()
    starts = [math.floor(centre / reach / width) for centre in centres]
    ends = [min(math.ceil(centre * reach / width) + 1, bins) for centre in centres]
    starts[0], ends[-1] = 0, bins
    gap = next((end for end, start in zip(ends, starts[1:], strict=False) if start > end), None)
    if gap is not None:
        raise ConfigError(f"{count} musical bands leave out bin {gap} of {bins}; take more bands")
    return tuple(zip(starts, ends, strict=True))


def _key(hertz: float) -> float:
    """Where a frequency lies on MIDI's keyboard."""
    return float(12 * (np.log2(hertz) - np.log2(_A4_HZ)) + _A4_KEY)
