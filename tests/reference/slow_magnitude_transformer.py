"""The magnitude transformer in plain NumPy, one excerpt at a time, over arrays by their names.

Nothing is shared with the network: transforms are sums, convolutions are loops over pixels, attention is a
loop over heads. It was written from the description at the head of the network's file.
"""

from __future__ import annotations

import math

import numpy as np


def slow_magnitude_transformer(arrays, config, mixture):
    """All sources `(source, channel, time)` of a mixture `(channel, time)`; `config` is a mapping."""
    n_fft, hop, bins = config["n_fft"], config["hop_length"], config["bins"]
    step = 2 ** len(config["widths"])
    frames = math.ceil((math.ceil(mixture.shape[1] / hop) + 1) / step) * step
    padded = np.pad(mixture, ((0, 0), (0, (frames - 1) * hop - mixture.shape[1])))
    spectrum = transform(padded, n_fft, hop)
    estimates = slow_magnitudes(arrays, config, np.abs(spectrum)[:, :bins])
    spectra = []
    for estimate in estimates:
        whole = np.zeros(spectrum.shape)
        whole[:, :bins] = estimate
        if config["above"] == "edge":
            extend(whole, np.abs(spectrum), bins)
        spectra.append(whole * np.exp(1j * np.angle(spectrum)))
    return np.stack([back(whole, n_fft, hop, mixture.shape[1]) for whole in spectra])


def extend(whole, mixture, bins):
    """What stands above the bins becomes the mixture at the gain of the sixteenth below, at most 1."""
    first = bins - max(1, bins // 16)
    for channel, frame in np.ndindex(whole.shape[0], whole.shape[2]):
        heard = mixture[channel, first:bins, frame].sum()
        gain = min(1, whole[channel, first:bins, frame].sum() / heard) if heard else 0
        whole[channel, bins:, frame] = gain * mixture[channel, bins:, frame]


def slow_magnitudes(arrays, config, mixture):
    """Magnitudes of the sources `(source, channel, bin, frame)` from the mixture's lowest bins."""
    heads, masked = config["heads"], config["output"] == "mask"
    heard = np.log(1 + mixture)
    tokens = []
    for source in range(3):
        token = embed(arrays, f"tokens.{source}", heard)
        tokens.append(layers(arrays, f"tokens.{source}", token, heads))
    tokens = [
        meet(arrays, "meetings.0", tokens[0], tokens[1], heads),
        meet(arrays, "meetings.1", tokens[1], tokens[0], heads),
        tokens[2],
    ]
    estimates = []
    for source in range(3):
        reworked = layers(arrays, f"frames.{source}", tokens[source], heads)
        normed = layer_norm(arrays, f"frames.{source}.norm", reworked)
        frames = linear(arrays, f"frames.{source}.output", normed)  # (frame, channel · bin)
        both = frames.T.reshape(mixture.shape) + unet(arrays, f"unets.{source}", heard, config)
        if masked:
            estimates.append(mixture / (1 + np.exp(-both)))
        else:
            estimates.append(np.where(mixture > 0, np.log(1 + np.exp(both)), 0))
    known = np.log(1 + np.concatenate([mixture, *estimates]))
    correction = unet(arrays, "rest", known, config)
    left = mixture - estimates[0] - estimates[1] - estimates[2]
    if masked:
        rest = np.clip(left + np.tanh(correction) * mixture, 0, mixture)
    else:
        rest = np.where(mixture > 0, np.maximum(0, left + correction), 0)
    return np.stack([*estimates, rest])


def embed(arrays, name, heard):
    """One token a frame, with where it stands: cosines, then sines."""
    frames = heard.shape[2]
    tokens = np.stack([heard[:, :, frame].ravel() for frame in range(frames)])
    tokens = linear(arrays, f"{name}.embedding", tokens)
    half = tokens.shape[1] // 2
    for frame, angle in np.ndindex(frames, half):
        turned = frame / 10_000 ** (angle / (half - 1))
        tokens[frame, angle] += math.cos(turned)
        tokens[frame, half + angle] += math.sin(turned)
    return tokens


def layers(arrays, name, tokens, heads):
    """As many transformer layers as there are arrays for."""
    names = {key.split(".")[3] for key in arrays if key.startswith(f"{name}.layers.")}
    for at in range(len(names)):
        layer = f"{name}.layers.{at}"
        normed = layer_norm(arrays, f"{layer}.attention_norm", tokens)
        tokens = tokens + attend(arrays, f"{layer}.attention", normed, normed, heads)
        wide = linear(arrays, f"{layer}.widen", layer_norm(arrays, f"{layer}.norm", tokens))
        tokens = tokens + linear(arrays, f"{layer}.narrow", gelu(wide))
    return tokens


def meet(arrays, name, tokens, others, heads):
    """Tokens of one source after they have gathered from another's."""
    queries = layer_norm(arrays, f"{name}.norm", tokens)
    keys = layer_norm(arrays, f"{name}.other_norm", others)
    return tokens + attend(arrays, f"{name}.attention", queries, keys, heads)


def attend(arrays, name, queries, keys, heads):
    """Multi-head attention, a head and a query after the other."""
    size = queries.shape[1]
    weights = np.split(arrays[f"{name}.in_proj_weight"], 3)
    biases = np.split(arrays[f"{name}.in_proj_bias"], 3)
    inputs = (queries, keys, keys)
    query, key, value = (x @ w.T + b for x, w, b in zip(inputs, weights, biases, strict=True))
    gathered = np.zeros(queries.shape)
    width = size // heads
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        for at in range(len(queries)):
            scores = np.array([query[at, own] @ other / math.sqrt(width) for other in key[:, own]])
            shares = np.exp(scores - scores.max())
            gathered[at, own] = shares @ value[:, own] / shares.sum()
    return linear(arrays, f"{name}.out_proj", gathered)


def unet(arrays, name, x, config):
    """Down with a skip from before each step, up again, and a last convolution."""
    depth, skips = len(config["widths"]), []
    for level in range(depth):
        skips.append(convolve(x, arrays[f"{name}.skip.{level}.weight"], arrays[f"{name}.skip.{level}.bias"]))
        x = convolve(x, arrays[f"{name}.down.{level}.0.weight"], stride=2)
        x = leaky(batch_norm(arrays, f"{name}.down.{level}.1", x))
    for level in range(depth):
        x = spread(x, arrays[f"{name}.up.{level}.0.weight"])
        x = leaky(batch_norm(arrays, f"{name}.up.{level}.1", x))
        x = np.concatenate([x, skips.pop()])
    return convolve(x, arrays[f"{name}.output.weight"], arrays[f"{name}.output.bias"])


def convolve(x, kernel, bias=0.0, stride=1):
    """A convolution whose zeros beyond the edges keep the size, or halve it."""
    margin = kernel.shape[2] // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
    result = np.zeros((len(kernel), x.shape[1] // stride, x.shape[2] // stride))
    for row, column in np.ndindex(result.shape[1:]):
        top, left = row * stride, column * stride
        patch = padded[:, top : top + kernel.shape[2], left : left + kernel.shape[3]]
        result[:, row, column] = np.tensordot(kernel, patch, 3) + bias
    return result


def spread(x, kernel):
    """Its transpose: each pixel lays its 3 × 3 kernel down on a grid twice as fine."""
    _, rows, columns = x.shape
    grid = np.zeros((kernel.shape[1], 2 * rows + 2, 2 * columns + 2))
    for row, column in np.ndindex(rows, columns):
        grid[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += np.tensordot(
            x[:, row, column], kernel, 1
        )
    return grid[:, 1:-1, 1:-1]


def batch_norm(arrays, name, x):
    mean, variance = (arrays[f"{name}.running_{part}"][:, None, None] for part in ("mean", "var"))
    weight, bias = (arrays[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def layer_norm(arrays, name, tokens):
    centred = tokens - tokens.mean(1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    return centred / deviation * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]


def linear(arrays, name, tokens):
    return tokens @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def gelu(x):
    return np.vectorize(lambda value: value * 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def window(n_fft):
    return np.array([0.5 - 0.5 * math.cos(2 * math.pi * at / n_fft) for at in range(n_fft)])


def transform(signal, n_fft, hop):
    """Spectra `(channel, bin, frame)`: windowed frames around each hop, as sums over their samples."""
    # A reflection needs a signal longer than itself; a shorter one is first followed by silence.
    missing = max(0, n_fft // 2 + 1 - signal.shape[1])
    signal = np.pad(signal, ((0, 0), (0, missing)))
    padded = np.pad(signal, ((0, 0), (n_fft // 2, n_fft // 2 - missing)), mode="reflect")
    bins = np.arange(n_fft // 2 + 1)[:, None]
    turns = np.exp(-2j * np.pi * bins * np.arange(n_fft) / n_fft) / math.sqrt(n_fft)
    starts = range(0, padded.shape[1] - n_fft + 1, hop)
    frames = [padded[:, at : at + n_fft] * window(n_fft) for at in starts]
    return np.stack([frame @ turns.T for frame in frames], -1)


def back(spectrum, n_fft, hop, length):
    """The signal whose spectra come closest: windowed frames over the sum of squared windows."""
    frames = spectrum.shape[2]
    total = np.zeros((len(spectrum), (frames - 1) * hop + n_fft))
    weight = np.zeros(total.shape[1])
    for frame in range(frames):
        own = slice(frame * hop, frame * hop + n_fft)
        total[:, own] += np.fft.irfft(spectrum[:, :, frame], n_fft, norm="ortho") * window(n_fft)
        weight[own] += window(n_fft) ** 2
    start = n_fft // 2
    return total[:, start : start + length] / weight[start : start + length]
