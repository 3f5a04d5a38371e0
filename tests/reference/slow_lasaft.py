"""LaSAFT in plain NumPy, one source at a time, from features `(2C, N, F)` to features."""

from __future__ import annotations

import numpy as np

from reference.slow_layers import convolve, double, halve, norm, relu, sigmoid


def slow_lasaft(weights, features, source):
    """What the network makes of a mixture's spectrum when it is asked for one source."""
    embedding = weights["embedding.weight"][source]
    depth = sum(name.startswith("downsamplings") and name.endswith("0.weight") for name in weights)
    channels = len(weights["first_conv.0.bias"])
    control = controlled(weights, embedding)
    gammas = affine(weights, "condition_generator.linear_gamma", control).reshape(depth, channels, channels)
    betas = affine(weights, "condition_generator.linear_beta", control).reshape(depth, channels)
    x = relu(norm(weights, "first_conv.1", convolve(weights, "first_conv.0", features)))
    skips = []
    for level in range(depth):
        x = choose(weights, f"encoders.{level}", dense(weights, f"encoders.{level}", x), embedding)
        skips.append(x)
        x = norm(weights, f"downsamplings.{level}.1", halve(weights, f"downsamplings.{level}.0", x))
    x = choose(weights, "mid_block", dense(weights, "mid_block", x), embedding)
    for level in range(depth):
        x = norm(weights, f"upsamplings.{level}.1", double(weights, f"upsamplings.{level}.0", x))
        x = dense(weights, f"decoders.{level}", np.concatenate([x, skips.pop()]))
        x = x * sigmoid(np.einsum("ink,io->onk", x, gammas[level]) + betas[level][:, None, None])
        x = choose(weights, f"decoders.{level}", x, embedding)
    return convolve(weights, "last_conv.0", x, padding=(0, 1))


def controlled(weights, x):
    """The embedding, wider and wider."""
    name, index = "condition_generator.dense_control_block.linear", 0
    while f"{name}.{index}.weight" in weights:
        x = relu(weights[f"{name}.{index}.weight"] @ x + weights[f"{name}.{index}.bias"])
        if index:
            x = norm(weights, f"{name}.{index + 3}", x)
        index += 4 if index else 2
    return x


def affine(weights, name, x):
    return norm(weights, f"{name}.2", weights[f"{name}.0.weight"] @ x + weights[f"{name}.0.bias"])


def dense(weights, name, x):
    """Convolutions that hear all before them, the latest first."""
    heard, index = x, 0
    while f"{name}.tfc.H.{index}.0.weight" in weights:
        layer = f"{name}.tfc.H.{index}"
        reach = weights[f"{layer}.0.weight"].shape[-1] // 2
        x = relu(norm(weights, f"{layer}.1", convolve(weights, f"{layer}.0", heard, padding=(reach, reach))))
        heard = np.concatenate([x, heard])
        index += 1
    return x


def choose(weights, name, x, embedding):
    """Features and a mean of their transforms, weighted by how well each goes with the embedding."""
    keys = weights[f"{name}.keys"]
    query = weights[f"{name}.linear_query.weight"] @ embedding + weights[f"{name}.linear_query.bias"]
    attention = np.exp(query @ keys / np.sqrt(len(keys)))
    attention /= attention.sum()
    value = relu(norm(weights, f"{name}.tdfs.tdf.1", x @ weights[f"{name}.tdfs.tdf.0.weight"].T))
    value = relu(norm(weights, f"{name}.tdfs.tdf.4", value @ weights[f"{name}.tdfs.tdf.3.weight"].T))
    latent = len(attention)
    return x + sum(value[..., index::latent] * attention[index] for index in range(latent))
