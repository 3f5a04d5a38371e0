"""MMDenseLSTM's network of one source in plain NumPy, from the mixture's magnitudes `(C, N, F)`."""

from __future__ import annotations

import numpy as np

from reference.slow_layers import convolve, double, mean_of_four, norm, relu, remember, sigmoid


def slow_mm_dense_lstm(weights, magnitudes, *, edges):
    """Magnitudes of the source; `edges` are where bands end, the last one included."""
    scaled = (magnitudes - weights["input_mean"]) / weights["input_scale"]
    outputs, start = [], 0
    for band, end in enumerate(edges):
        outputs.append(unet(weights, f"bands.{band}", scaled[:, :, start:end]))
        start = end
    widest = max(len(output) for output in outputs)
    for band, output in enumerate(outputs):
        if len(output) < widest:
            outputs[band] = convolve(
                weights, f"match.{band}.conv", norm(weights, f"match.{band}.norm", output)
            )
    x = np.concatenate([np.concatenate(outputs, axis=2), unet(weights, "full", scaled)])
    x = norm(weights, "norm", block(weights, "final", x))
    x = sigmoid(convolve(weights, "gate", x)) * convolve(weights, "filter", x)
    return relu(x * weights["output_scale"] + weights["output_mean"])


def unet(weights, name, x):
    """The features of one band."""
    x = convolve(weights, f"{name}.conv", x, padding=(1, 1))
    skips, level = [], 0
    while has(weights, f"{name}.down.{level}."):
        x = block(weights, f"{name}.down.{level}", x)
        skips.append(x)
        x = mean_of_four(x)
        level += 1
    x = block(weights, f"{name}.middle", x)
    for level in range(len(skips)):
        skip, up = skips.pop(), f"{name}.up.{level}"
        x = double(weights, f"{up}.conv", norm(weights, f"{up}.norm", x))
        x = np.concatenate([x[:, : skip.shape[1], : skip.shape[2]], skip])
        x = block(weights, f"{up}.block", x)
    return x


def block(weights, name, x):
    """What the last layer of a dense block makes, and its recurrence."""
    heard, made, index = x, [], 0
    while has(weights, f"{name}.layers.{index}."):
        layer = f"{name}.layers.{index}"
        made = [
            convolve(weights, f"{layer}.conv", relu(norm(weights, f"{layer}.norm", heard)), padding=(1, 1))
        ]
        heard = np.concatenate([heard, *made])
        index += 1
    if has(weights, f"{name}.recurrence."):
        one = convolve(weights, f"{name}.recurrence.conv", x)[0]
        states = remember(weights, f"{name}.recurrence.lstm", one)
        weight, bias = (weights[f"{name}.recurrence.linear.{part}"] for part in ("weight", "bias"))
        made = [*made, (states @ weight.T + bias)[None]]
    return np.concatenate(made)


def has(weights, beginning):
    return any(name.startswith(beginning) for name in weights)
