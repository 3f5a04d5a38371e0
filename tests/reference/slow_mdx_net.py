"""How the published program separates a track with an MDX-Net's target: one segment after the other.

Zeros of half a frame before the track and behind it, segments that begin as many samples apart as they have
samples between their first and last half frame, and of each estimate those alone.
"""

from __future__ import annotations

import numpy as np
import torch


def separated(mixture, separate, *, n_fft, hop, bins, frames, low_cut=0):
    """The estimate of a whole track.

    Args:
        mixture: `(2, time)`, float64.
        separate: From a mixture's features `(1, 4, bins, frames)` to the source's, same shape.
        n_fft: Samples of a frame.
        hop: Samples between two frames.
        bins: That the network takes.
        frames: That the network takes.
        low_cut: Lowest bins that are silenced.

    Returns:
        Same shape as the mixture.
    """
    segment, edge = hop * (frames - 1), n_fft // 2
    step, length = segment - 2 * edge, mixture.shape[-1]
    filling = step - length % step
    padded = np.pad(mixture, ((0, 0), (edge, filling + edge)))
    pieces = []
    for start in range(0, length + filling, step):
        spectrum = _spectrum(padded[:, start : start + segment], n_fft, hop)
        features = np.zeros((1, 4, bins, frames))
        for channel in range(2):
            features[0, 2 * channel] = spectrum[channel, :bins].real
            features[0, 2 * channel + 1] = spectrum[channel, :bins].imag
        features[:, :, :low_cut] = 0
        estimate = separate(torch.from_numpy(features)).numpy()[0]
        spectrum = np.zeros_like(spectrum)
        for channel in range(2):
            spectrum[channel, :bins] = estimate[2 * channel] + 1j * estimate[2 * channel + 1]
        pieces.append(_signal(spectrum, n_fft, hop)[:, edge:-edge])
    return np.concatenate(pieces, axis=1)[:, :length]


def _window(n_fft):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


def _spectrum(signal, n_fft, hop):
    """Of each channel the spectrum of each windowed frame; beyond the edges stand reflections."""
    padded = np.pad(signal, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    starts = range(0, signal.shape[1] + 1, hop)
    frames = [np.fft.rfft(padded[:, start : start + n_fft] * _window(n_fft)) for start in starts]
    return np.stack(frames, axis=-1)


def _signal(spectrum, n_fft, hop):
    """Windowed frames added up, by the sum of the squared windows."""
    length = hop * (spectrum.shape[-1] - 1) + n_fft
    total, weight = np.zeros((2, length)), np.zeros(length)
    for number in range(spectrum.shape[-1]):
        place = slice(number * hop, number * hop + n_fft)
        total[:, place] += np.fft.irfft(spectrum[..., number], n_fft) * _window(n_fft)
        weight[place] += _window(n_fft) ** 2
    inside = slice(n_fft // 2, length - n_fft // 2)
    return total[:, inside] / weight[inside]
