"""Tiny songs with true stems, and estimates of them that are a known noise away."""

from __future__ import annotations

import pytest

from datasets import FOUR, LENGTH, RATE, musdb18hq, save, sound
from signals import noise
from unbraid.data.layouts import tracks


@pytest.fixture
def songs(tmp_path):
    """Two songs of a second, one in `train` and one in `test`, each with four true stems."""
    musdb18hq(tmp_path / "data")
    return tracks(tmp_path / "data")


@pytest.fixture
def estimates(tmp_path):
    """Make a folder of estimates as museval lays them out: true stems with some noise."""

    def estimates(name="mine", *, gain=0.01, stems=FOUR, splits=("train", "test"), length=LENGTH, rate=RATE):
        for split in splits:
            for stem in stems:
                true = sound(FOUR.index(stem)) if stem in FOUR else sum(sound(seed) for seed in (1, 2, 3))
                guess = (true + noise(LENGTH, gain=gain, seed=9))[:, :length]
                save(tmp_path / name / split / "A - Song" / f"{stem}.wav", guess, rate=rate, subtype="FLOAT")
        return tmp_path / name

    return estimates
