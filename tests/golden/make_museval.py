"""Writes the file of scores that museval writes for a song of three seconds, one of them silent.

Needs `museval` 0.4.1 in an environment of its own; `musdb`, which asks for the program ffmpeg, is not used.
Run from the repository's root: python tests/golden/make_museval.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np

sys.modules["musdb"] = ModuleType("musdb")
import museval  # noqa: E402 - only after its helper was replaced

RATE = 8000


def signals():
    """References and estimates of two sources, `(sources, time, channels)`, on a grid of 16 bits."""
    generator = np.random.default_rng(0)
    references = generator.standard_normal((2, 3 * RATE, 2)) * 0.05
    references[0, RATE : 2 * RATE] = 0
    estimates = references + 0.1 * references[::-1] + 0.01 * generator.standard_normal(references.shape)
    return [np.round(each * 32768) / 32768 for each in (references, estimates)]


if __name__ == "__main__":
    sdr, isr, sir, sar = museval.evaluate(*signals(), win=RATE, hop=RATE)
    store = museval.TrackStore(track_name="A - Song")
    for at, target in enumerate(("vocals", "accompaniment")):
        ratios = {"SDR": sdr, "ISR": isr, "SIR": sir, "SAR": sar}
        store.add_target(target, {name: values[at].tolist() for name, values in ratios.items()})
    store.validate()
    store.save(Path("tests/golden/museval.json"))
