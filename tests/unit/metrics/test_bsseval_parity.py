"""BSSEval beside museval 0.4.1 and mir_eval 0.8.2, by answers stored in `golden/`: every source and ratio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from reference.bsseval_cases import odd_cases, song_cases, whole_cases
from unbraid.metrics.bsseval import bsseval

STORED = Path(__file__).parents[2] / "golden"
GOLDEN = np.load(STORED / "bsseval.npz")
MIR_EVAL = json.loads((STORED / "mir_eval.json").read_text(encoding="utf-8"))
SONGS = ("lithium", "potassium", "rubidium")
ODD, WHOLE = odd_cases(), whole_cases()


def score(case, silence="museval"):
    ratios = bsseval(
        torch.from_numpy(case.references),
        torch.from_numpy(case.estimates),
        case.sample_rate,
        window=case.window,
        hop=case.hop,
        taps=case.taps,
        images=case.images,
        silence=silence,
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


@pytest.mark.reference
@pytest.mark.parametrize("name", WHOLE)
def test_whole_signals_score_as_mir_eval_scores_them(name):
    case = WHOLE[name]
    answers = score(case, "energy")[..., 0]
    agree(answers if case.images else answers[[0, 2, 3]], MIR_EVAL[name])


def test_every_stored_answer_is_asked_for():
    assert set(GOLDEN) == {*ODD, *SONGS}
    assert set(MIR_EVAL) == set(WHOLE)
