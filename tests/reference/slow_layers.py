"""Layers of spectrogram networks in plain NumPy, float64, one example at a time: features are `(C, N, F)`.

Weights are by name, as a network's `state_dict` has them; a layer is given the beginning of its names.
"""

from __future__ import annotations

import numpy as np


def convolve(weights, name, x, *, padding=(0, 0), dilation=1):
    """One product for each tap of the kernel; zeros stand beyond the edges."""
    kernel = weights[f"{name}.weight"]  # (out, in, frames, bins)
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    frames = padded.shape[1] - dilation * (kernel.shape[2] - 1)
    bins = padded.shape[2] - dilation * (kernel.shape[3] - 1)
    result = np.zeros((kernel.shape[0], frames, bins)) + weights[f"{name}.bias"][:, None, None]
    for frame in range(kernel.shape[2]):
        for bin_ in range(kernel.shape[3]):
            heard = padded[:, frame * dilation :, bin_ * dilation :][:, :frames, :bins]
            result += np.tensordot(kernel[:, :, frame, bin_], heard, axes=1)
    return result


def halve(weights, name, x):
    """A convolution of two by two that steps by two."""
    kernel = weights[f"{name}.weight"]
    result = np.zeros((kernel.shape[0], x.shape[1] // 2, x.shape[2] // 2))
    for frame in range(2):
        for bin_ in range(2):
            result += np.tensordot(kernel[:, :, frame, bin_], x[:, frame::2, bin_::2], axes=1)
    return result + weights[f"{name}.bias"][:, None, None]


def double(weights, name, x):
    """Its transpose: each feature becomes four."""
    kernel = weights[f"{name}.weight"]  # (in, out, 2, 2)
    result = np.zeros((kernel.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
    for frame in range(2):
        for bin_ in range(2):
            result[:, frame::2, bin_::2] = np.tensordot(kernel[:, :, frame, bin_].T, x, axes=1)
    return result + weights[f"{name}.bias"][:, None, None]


def mean_of_four(x):
    """Half the frames and bins, each the mean of those that there are of two by two."""
    result = np.zeros((x.shape[0], -(-x.shape[1] // 2), -(-x.shape[2] // 2)))
    for frame in range(result.shape[1]):
        for bin_ in range(result.shape[2]):
            four = x[:, 2 * frame : 2 * frame + 2, 2 * bin_ : 2 * bin_ + 2]
            result[:, frame, bin_] = four.mean((1, 2))
    return result


def norm(weights, name, x):
    """A batch norm in evaluation, over the first axis."""
    over = (slice(None),) + (None,) * (x.ndim - 1)
    mean, variance = weights[f"{name}.running_mean"][over], weights[f"{name}.running_var"][over]
    normed = (x - mean) / np.sqrt(variance + 1e-5)
    if f"{name}.weight" not in weights:
        return normed
    return normed * weights[f"{name}.weight"][over] + weights[f"{name}.bias"][over]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def remember(weights, name, x):
    """A bidirectional LSTM of one layer over `(N, F)`: `(N, 2H)`."""
    forth = _one_way(weights, name, x, "")
    back = _one_way(weights, name, x[::-1], "_reverse")[::-1]
    return np.concatenate([forth, back], axis=1)


def _one_way(weights, name, x, way):
    into, within = weights[f"{name}.weight_ih_l0{way}"], weights[f"{name}.weight_hh_l0{way}"]
    bias = weights[f"{name}.bias_ih_l0{way}"] + weights[f"{name}.bias_hh_l0{way}"]
    state, cell, states = np.zeros(within.shape[1]), np.zeros(within.shape[1]), []
    for frame in x:
        enter, forget, new, leave = np.split(into @ frame + within @ state + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        state = sigmoid(leave) * np.tanh(cell)
        states.append(state)
    return np.stack(states)
