"""Writes the names and shapes of a magnitude transformer's weights, counted by hand from its description.

No weights are published; these names are ours, and must not change once there are.
Run from the repository's root: python tests/golden/make_magnitude_transformer.py
"""

from __future__ import annotations

import json
from pathlib import Path

CHANNELS, BINS = 2, 1024
WIDTHS = [16, 32, 48, 64, 96]
SKIP = 8
PAIR, BASS = (384, 6), (192, 3)


def norm(name, width):
    rows = {f"{name}.{part}": [width] for part in ("weight", "bias", "running_mean", "running_var")}
    return {**rows, f"{name}.num_batches_tracked": []}


def affine(name, *shape):
    return {f"{name}.weight": list(shape), f"{name}.bias": list(shape[:1])}


def unet(name, channels):
    shapes, above, below = affine(f"{name}.output", CHANNELS, WIDTHS[0] + SKIP, 3, 3), channels, WIDTHS[-1]
    for level, width in enumerate(WIDTHS):
        shapes[f"{name}.down.{level}.0.weight"] = [width, above, 3, 3]
        shapes |= norm(f"{name}.down.{level}.1", width) | affine(f"{name}.skip.{level}", SKIP, above, 1, 1)
        above = width
    for level, width in enumerate([*WIDTHS[-2::-1], WIDTHS[0]]):
        shapes[f"{name}.up.{level}.0.weight"] = [below, width, 3, 3]
        shapes |= norm(f"{name}.up.{level}.1", width)
        below = width + SKIP
    return shapes


def attention(name, size):
    packed = {f"{name}.in_proj_weight": [3 * size, size], f"{name}.in_proj_bias": [3 * size]}
    return packed | affine(f"{name}.out_proj", size, size)


def layer(name, size):
    shapes = attention(f"{name}.attention", size)
    shapes |= affine(f"{name}.attention_norm", size) | affine(f"{name}.norm", size)
    return shapes | affine(f"{name}.widen", 4 * size, size) | affine(f"{name}.narrow", size, 4 * size)


def transformer(source, size, layers):
    shapes = affine(f"tokens.{source}.embedding", size, CHANNELS * BINS)
    shapes |= affine(f"frames.{source}.norm", size) | affine(f"frames.{source}.output", CHANNELS * BINS, size)
    for at in range(layers // 2):
        shapes |= layer(f"tokens.{source}.layers.{at}", size)
    for at in range(layers - layers // 2):
        shapes |= layer(f"frames.{source}.layers.{at}", size)
    return shapes


def meeting(name, size):
    shapes = attention(f"{name}.attention", size)
    return shapes | affine(f"{name}.norm", size) | affine(f"{name}.other_norm", size)


if __name__ == "__main__":
    shapes = unet("rest", 4 * CHANNELS)
    for source, sizes in enumerate((PAIR, PAIR, BASS)):
        shapes |= unet(f"unets.{source}", CHANNELS) | transformer(source, *sizes)
    for source in range(2):
        shapes |= meeting(f"meetings.{source}", PAIR[0])
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in sorted(shapes.items()))
    target = Path(__file__).with_name("magnitude_transformer.json")
    target.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
