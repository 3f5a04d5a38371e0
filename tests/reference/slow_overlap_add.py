"""Overlap-add as a loop over samples: the whole track in memory, one segment at a time, nothing clever."""

from __future__ import annotations

import numpy as np
import torch


def slow_separate(backend, plan, mixture):
    """What a stream must give, for `mixture` of shape `(channels, time)`."""
    channels, length = mixture.shape
    core = plan.segment - 2 * plan.context
    sums = np.zeros((len(backend.spec.sources), channels, length))
    totals = np.zeros(length)
    weights = plan.window.weights(core).numpy()
    for start in range(0, length, plan.stride):
        size = min(core, length - start)
        given = backend.spec.accepted_length(size + 2 * plan.context)
        left = start - (given - size) // 2
        segment = torch.zeros(channels, given)
        for position in range(given):
            if 0 <= left + position < length:
                segment[:, position] = mixture[:, left + position]
        estimate = backend.run(segment[None])[0].double().numpy()
        for position in range(size):
            sums[..., start + position] += weights[position] * estimate[..., start - left + position]
            totals[start + position] += weights[position]
    return torch.from_numpy(sums / totals).float()
