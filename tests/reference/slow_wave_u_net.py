"""Wave-U-Net in plain NumPy, one excerpt at a time, over arrays named as TensorFlow names them.

Nothing is shared with the network: it was written from the paper, and from the published code where the
paper is silent (the last sample that an upsampling makes without context).
"""

from __future__ import annotations

import math

import numpy as np

DOWN, UP = 15, 5  # published kernel sizes


def lengths(wanted, depth, down=DOWN, up=UP):
    """Samples at the bottom, at the output and at the input, for an excerpt with context."""
    bottom = float(wanted)
    for _ in range(depth):
        bottom = (bottom + (up - 1) + 1) / 2
    bottom = math.ceil(bottom)
    taken, given = bottom, bottom + (down - 1)
    for _ in range(depth):
        taken = 2 * taken - 1 - (up - 1)
        given = 2 * given - 1 + (down - 1)
    return bottom, taken, given


def slow_wave_u_net(variables, mixture, *, context, difference):
    """All sources `(source, channel, time)` of a mixture `(channel, time)`; shorter than it with context."""
    names = ["separator/conv1d", *(f"separator/conv1d_{number}" for number in range(1, len(variables)))]
    names = [name for name in names if f"{name}/kernel" in variables]
    layers = [(variables[f"{name}/kernel"], variables[f"{name}/bias"]) for name in names]
    # Channels stop to continue where the first skip connection joins.
    depth = next(at for at, (kernel, _) in enumerate(layers) if layers[at + 1][0].shape[1] != kernel.shape[2])
    x, skips = mixture, []
    for kernel, bias in layers[:depth]:
        x = leaky(convolve(x, kernel, bias, context))
        skips.append(x)
        x = x[:, ::2]
    x = leaky(convolve(x, *layers[depth], context))
    for level, (kernel, bias) in enumerate(layers[depth + 1 : 2 * depth + 1]):
        x = upsample(x, variables.get(f"separator/interp_{level}"), context)
        x = np.concatenate([crop(skips.pop(), x.shape[1]), x])
        x = leaky(convolve(x, kernel, bias, context))
    mixture = crop(mixture, x.shape[1])
    x = np.concatenate([mixture, x])
    sources = [np.tanh(convolve(x, kernel, bias, context)) for kernel, bias in layers[2 * depth + 1 :]]
    if difference:
        sources.append(np.clip(mixture - sum(sources), -1, 1))
    return np.stack(sources)


def convolve(x, kernel, bias, context):
    """One sum over the kernel's taps for each sample; without context, zeros stand beyond the edges."""
    taps, _, channels = kernel.shape
    if not context:
        before = (taps - 1) // 2
        x = np.pad(x, ((0, 0), (before, taps - 1 - before)))
    result = np.zeros((channels, x.shape[1] - taps + 1))
    for time in range(result.shape[1]):
        result[:, time] = bias
        for tap in range(taps):
            result[:, time] += x[:, time + tap] @ kernel[tap]
    return result


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def upsample(x, weight, context):
    """A sample between each two; without context also one behind the last, which has no right neighbour.

    A learned upsampling takes zero in its place, as a convolution does; a linear one, the last sample.
    """
    count = x.shape[1]
    share = 0.5 if weight is None else 1 / (1 + np.exp(-weight))
    result = np.zeros((x.shape[0], 2 * count - 1 if context else 2 * count))
    for time in range(result.shape[1]):
        left = x[:, time // 2]
        if time % 2 == 0:
            result[:, time] = left
        elif time // 2 + 1 < count:
            result[:, time] = share * left + (1 - share) * x[:, time // 2 + 1]
        else:
            result[:, time] = left if weight is None else share * left
    return result


def crop(x, length):
    """The middle; of an odd number of samples too many, the larger half goes at the end."""
    start = (x.shape[1] - length) // 2
    return x[:, start : start + length]
