"""A state space step by step, in NumPy and float64: the twin of `layers.state_space`."""

from __future__ import annotations

import numpy as np


def scan(signal, steps, rates, writes, reads):
    """What is read of a state; shapes are those of `layers.state_space.scan`."""
    batch, tokens, heads, size = signal.shape
    read = np.zeros_like(signal)
    for row in range(batch):
        for head in range(heads):
            state = np.zeros((size, writes.shape[-1]))
            for token in range(tokens):
                step = steps[row, token, head]
                state = state * np.exp(step * rates[head])
                state += step * np.outer(signal[row, token, head], writes[row, token])
                read[row, token, head] = state @ reads[row, token]
    return read


def mamba2(tokens, weights, head_size):
    """A whole layer, for tokens `(B, N, C)` and weights by their published names."""
    inner = weights["norm.weight"].size
    heads, kernel = weights["D"].size, weights["conv1d.weight"]
    states = (kernel.shape[0] - inner) // 2
    packed = tokens @ weights["in_proj.weight"].T
    gate, signal, steps = np.split(packed, [inner, 2 * inner + 2 * states], axis=-1)
    near = np.zeros_like(signal)
    for token in range(tokens.shape[1]):
        for tap in range(kernel.shape[-1]):
            if (other := token - kernel.shape[-1] + 1 + tap) >= 0:
                near[:, token] += kernel[:, 0, tap] * signal[:, other]
    near = _silu(near + weights["conv1d.bias"])
    signal, writes, reads = np.split(near, [inner, inner + states], axis=-1)
    signal = signal.reshape(*signal.shape[:2], heads, head_size)
    steps = np.log1p(np.exp(steps + weights["dt_bias"]))
    read = scan(signal, steps, -np.exp(weights["A_log"]), writes, reads)
    heard = (read + weights["D"][:, None] * signal).reshape(gate.shape) * _silu(gate)
    level = np.sqrt((heard**2).mean(-1, keepdims=True) + 1e-5)
    return (heard / level * weights["norm.weight"]) @ weights["out_proj.weight"].T


def _silu(x):
    return x / (1 + np.exp(-x))
