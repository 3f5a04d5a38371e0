"""BSSEval beside museval 0.4.1, by answers stored in `golden/`: every source, frame and ratio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reference.bsseval_cases import odd_cases, song_cases
from unbraid.metrics.bsseval import bsseval

GOLDEN = np.load(Path(__file__).parents[2] / "golden/bsseval.npz")
SONGS = ("lithium", "potassium", "rubidium")
ODD = odd_cases()


def score(case):
    ratios = bsseval(
        torch.from_numpy(case.references),
        torch.from_numpy(case.estimates),
        case.sample_rate,
        window=case.window,
        hop=case.hop,
        taps=case.taps,
        images=case.images,
        silence="museval",
    )
    return torch.stack([ratios.sdr, ratios.isr, ratios.sir, ratios.sar]).numpy()


def agree(answers, expected):
    # Above 150 dB, what is compared with the source is the rounding of float64.
    np.testing.assert_allclose(np.minimum(answers, 150), np.minimum(expected, 150), rtol=0, atol=1e-3)


@pytest.mark.reference
@pytest.mark.parametrize("name", ODD)
def test_odd_signals_score_as_museval_scores_them(name):
    agree(score(ODD[name]), GOLDEN[name])


@pytest.mark.reference
@pytest.mark.parametrize("song", SONGS)
def test_real_songs_score_as_museval_scores_them(songs, song):
    agree(score(song_cases(songs)[song]), GOLDEN[song])


def test_every_stored_answer_is_asked_for():
    assert set(GOLDEN) == {*ODD, *SONGS}
