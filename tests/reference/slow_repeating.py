"""REPET and REPET-SIM in NumPy, a number at a time, as their papers say it."""

from __future__ import annotations

import numpy as np


def beat_spectrum(magnitude):
    """Mean autocorrelation of the rows of a power spectrogram `(F, N)`, each lag by its number of pairs."""
    power = magnitude**2
    bins, frames = power.shape
    echo = np.zeros(frames)
    for lag in range(frames):
        for row in power:
            pairs = [row[n] * row[n + lag] for n in range(frames - lag)]
            echo[lag] += np.mean(pairs) / bins
    return echo


def repeating(magnitude, period):
    """The median over all frames that are whole periods apart, at most the magnitude itself."""
    model = np.zeros_like(magnitude)
    bins, frames = magnitude.shape
    for f in range(bins):
        for n in range(frames):
            alike = [magnitude[f, m] for m in range(n % period, frames, period)]
            model[f, n] = min(np.median(alike), magnitude[f, n])
    return model


def recurring(magnitude, neighbours, distance):
    """The median over the nearest frames by angle that are `distance` or more away, at most the magnitude."""
    model = np.zeros_like(magnitude)
    frames = magnitude.shape[1]
    units = magnitude / np.linalg.norm(magnitude, axis=0)
    for n in range(frames):
        far = [m for m in range(frames) if abs(m - n) >= distance]
        nearest = sorted(far, key=lambda m: -np.dot(units[:, m], units[:, n]))[:neighbours]
        model[:, n] = np.minimum(np.median(magnitude[:, nearest], axis=1), magnitude[:, n])
    return model
