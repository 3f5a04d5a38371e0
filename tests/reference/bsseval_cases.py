"""Signals and settings that museval or mir_eval scored and we score: odd ones, made anew, and real songs.

Only numpy and soundfile, so that the scripts which ask them make the very same signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000


@dataclass(frozen=True)
class Case:
    """What is scored: signals are `(sources, channels, time)`, window and hop are in seconds."""

    references: np.ndarray
    estimates: np.ndarray
    sample_rate: int = RATE
    window: float = 1.0
    hop: float = 1.0
    taps: int = 64
    images: bool = True


def noise(*shape, seed=0, gain=0.1):
    """White noise."""
    return gain * np.random.default_rng(seed).standard_normal(shape)


def leaky(references, seed=1, leak=0.1, hiss=1e-3):
    """Estimates in which every source is heard, a little filtered, at a level that moves, over hiss."""
    mixture = references.sum(0)
    moving = 0.9 + 0.1 * np.sin(np.arange(references.shape[-1]) / 5000)
    late = np.roll(references, 3, -1)
    return moving * (references + 0.2 * late + leak * mixture) + noise(
        *references.shape, seed=seed, gain=hiss
    )


def muffled(signals, share=0.4):
    """Signals without their highest frequencies: below `share` of the spectrum."""
    spectrum = np.fft.rfft(signals)
    spectrum[..., int(share * spectrum.shape[-1]) :] = 0
    return np.fft.irfft(spectrum, signals.shape[-1])


def odd_cases():
    """By name; each asks for another thing that can go wrong."""
    plain = noise(3, 2, 33_333)
    one = noise(2, 1, 20_000)
    gaps = plain.copy()
    gaps[1, :, 7_900:16_100] = 0
    half = plain.copy()
    half[0, 1] = 0
    opposite = plain.copy()
    opposite[2, 1, 8_000:16_000] = -opposite[2, 0, 8_000:16_000]
    double = np.repeat(one, 2, 1)
    faint = 1e-6 * plain
    low = np.round(muffled(plain) * 2**15) / 2**15  # as a file of 16 bits holds it
    clear = plain + 1e-3 * noise(*plain.shape, seed=3)
    return {
        "plain": Case(plain, leaky(plain), taps=512),
        "overlapping": Case(plain, leaky(plain), window=1.0, hop=0.33333),
        "sparse": Case(plain, leaky(plain), window=0.1111, hop=0.5),
        "whole": Case(plain, leaky(plain), window=np.inf, hop=np.inf),
        "short": Case(plain[..., :50], leaky(plain[..., :50])),
        "mono": Case(one, leaky(one)),
        "sources": Case(plain, leaky(plain), images=False),
        "gaps": Case(gaps, leaky(gaps)),
        "deaf": Case(plain, leaky(plain) * (np.arange(33_333) > 9_000)),
        "half": Case(half, leaky(half)),
        "opposite": Case(opposite, leaky(plain)),
        "double": Case(double, leaky(double)),
        "faint": Case(faint, leaky(faint, hiss=1e-9)),
        "low": Case(low, leaky(low)),
        "low in low": Case(low, muffled(leaky(low))),
        "clear": Case(plain, clear),
        "one tap": Case(plain, leaky(plain), taps=1),
    }


def whole_cases():
    """Those that mir_eval can score: filters of 512 samples, one frame over all; of sources only mono.

    A silent channel it cannot: its matrix is singular, and numpy 2 has moved the error that it waits for.
    """
    stereo, mono = noise(3, 2, 20_000, seed=5), noise(3, 1, 20_000, seed=6)
    opposite = stereo.copy()
    opposite[2, 1, 5_000:] = -opposite[2, 0, 5_000:]
    asked = {
        "images": (stereo, True),
        "images of mono": (mono, True),
        "images, half in antiphase": (opposite, True),
        "sources": (mono, False),
    }
    return {
        name: Case(true, leaky(true), window=np.inf, hop=np.inf, taps=512, images=images)
        for name, (true, images) in asked.items()
    }


def song_cases(songs: Path):
    """A few seconds of songs; sources that are silent there are left out, and one is made mono."""
    found = {}
    for song, start in {"lithium": 25, "potassium": 10, "rubidium": 20}.items():
        stems = [
            soundfile.read(path, start=start * 44100, frames=5 * 44100, always_2d=True)[0].T
            for path in sorted((songs / song).glob("*.flac"))
            if path.stem != "mixture"
        ]
        references = np.stack([stem for stem in stems if stem.any()])
        references[1] = references[1].mean(0) if song == "rubidium" else references[1]  # mono, in stereo
        found[song] = Case(references, leaky(references), 44100, taps=512)
    return found
