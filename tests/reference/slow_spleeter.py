"""Spleeter in plain NumPy, one excerpt at a time, over arrays named as TensorFlow names them.

Nothing is shared with the network: it was written from the published program. Pictures are (time, frequency,
channel), as there.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-10


def slow_spleeter(variables, mixture, sources, *, frame, step, frames, bins, elu, softmax, exponent, average):
    """All sources `(source, channel, time)` of a mixture `(channel, time)`, by masks."""
    spectrum = stft(np.concatenate([np.zeros((len(mixture), frame)), mixture], axis=1), frame, step)
    magnitudes = np.abs(spectrum)[:, :bins]
    heard = [[] for _ in range(sources)]
    for start in range(0, len(magnitudes), frames):
        piece = np.zeros((frames, bins, len(mixture)))
        piece[: len(magnitudes) - start] = magnitudes[start : start + frames]
        logits = np.stack([unet(variables, sources, stem, piece, elu=elu) for stem in range(sources)])
        shares = np.exp(logits) / np.exp(logits).sum(0) if softmax else 1 / (1 + np.exp(-logits))
        for stem in range(sources):
            heard[stem].append(shares[stem] * piece)
    powers = np.stack([np.concatenate(pieces)[: len(magnitudes)] for pieces in heard]) ** exponent
    masks = (powers + EPSILON / sources) / (powers.sum(0) + EPSILON)
    above = masks.mean(2, keepdims=True) if average else np.zeros_like(masks[:, :, :1])
    masks = np.concatenate([masks, np.repeat(above, spectrum.shape[1] - bins, axis=2)], axis=2)
    signals = np.stack([inverse_stft(mask * spectrum, frame, step) * 2 / 3 for mask in masks])
    return signals[..., frame : frame + mixture.shape[1]]


def window(frame):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)


def stft(signal, frame, step):
    """A frame from every multiple of the step that is in the signal, filled up with zeros."""
    spectra = []
    for start in range(0, signal.shape[1], step):
        piece = np.zeros((len(signal), frame))
        found = signal[:, start : start + frame]
        piece[:, : found.shape[1]] = found
        spectra.append(np.fft.rfft(piece * window(frame)).T)
    return np.stack(spectra)


def inverse_stft(spectrum, frame, step):
    count, _, channels = spectrum.shape
    signal = np.zeros((channels, (count - 1) * step + frame))
    for number in range(count):
        signal[:, number * step : number * step + frame] += np.fft.irfft(spectrum[number].T, frame) * window(
            frame
        )
    return signal


def unet(variables, sources, stem, picture, *, elu):
    """The logits of one source, of the picture's shape; variables are numbered on from source to source."""
    kernels = [name for name in variables if name.startswith("conv2d_transpose") and name.endswith("/kernel")]
    levels = len(kernels) // sources

    def variable(kind, number, each, part):
        return variables[f"{kind}{numbered(stem * each + number)}/{part}"]

    def normed(x, number):
        gamma, beta, mean, variance = (
            variable("batch_normalization", number, 2 * levels, part)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def active(x, slope):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) if elu else slope * x)

    x, skips = picture, []
    for level in range(levels):
        x = active(normed(x, level - 1), 0.2) if level else x
        x = halved(x, *(variable("conv2d", level, levels + 1, part) for part in ("kernel", "bias")))
        skips.append(x)
    skips.pop()
    for level in range(levels):
        x = doubled(x, *(variable("conv2d_transpose", level, levels, part) for part in ("kernel", "bias")))
        x = normed(active(x, 0), levels + level)
        if skips:
            x = np.concatenate([skips.pop(), x], axis=2)
    return dilated(x, *(variable("conv2d", levels, levels + 1, part) for part in ("kernel", "bias")))


def numbered(number):
    return f"_{number}" if number else ""


def halved(x, kernel, bias):
    """A convolution at every second place; of three zeros, one stands before the picture and two behind."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 2), (1, 2), (0, 0)))
    result = np.zeros((height // 2, width // 2, len(bias))) + bias
    for row in range(5):
        for column in range(5):
            result += padded[row : row + height : 2, column : column + width : 2] @ kernel[row, column]
    return result


def doubled(x, kernel, bias):
    """Its counterpart: every place paints five by five, two apart; the first and the last two are cut."""
    height, width, _ = x.shape
    canvas = np.zeros((2 * height + 3, 2 * width + 3, len(bias)))
    for row in range(5):
        for column in range(5):
            canvas[row : row + 2 * height : 2, column : column + 2 * width : 2] += x @ kernel[row, column].T
    return canvas[1:-2, 1:-2] + bias


def dilated(x, kernel, bias):
    """A convolution of four by four taps, two apart; three zeros on all sides."""
    height, width, _ = x.shape
    padded = np.pad(x, ((3, 3), (3, 3), (0, 0)))
    result = np.zeros((height, width, len(bias))) + bias
    for row in range(4):
        for column in range(4):
            result += (
                padded[2 * row : 2 * row + height, 2 * column : 2 * column + width] @ kernel[row, column]
            )
    return result
