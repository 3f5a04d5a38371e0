"""Methods without training as models: by name, with nothing to fetch, on real songs."""

from __future__ import annotations

import pytest
import torch

import signals
import unbraid
from unbraid.audio import Audio
from unbraid.errors import PlanError
from unbraid.metrics.ratios import sdr
from unbraid.zoo import catalog

MODELS = [card for card in catalog.cards() if not card.has_weights]


@pytest.mark.parametrize("card", MODELS, ids=lambda card: card.name)
def test_a_model_without_weights_separates_at_once_and_adds_up(card, monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    song = Audio(signals.noise(22_050) + signals.tone(22_050), 44100)
    estimates = unbraid.separate(song, card.name, offline=True)
    assert estimates.sources == card.sources
    assert estimates.residual(song).samples.abs().max() < 1e-5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "source", "stem", "gain_db"),
    [
        ("hpss", "percussive", "drums", 3),
        ("nmf", "drums", "drums", 3),
        ("repet", "vocals", "vocals", 4),
        ("repet_sim", "vocals", "vocals", 4),
        ("rpca", "vocals", "vocals", 4),
        ("centre", "centre", "vocals", 2),
    ],
)
def test_on_a_real_song_a_method_beats_the_mixture(songs, model, source, stem, gain_db):
    mixture, reference = (unbraid.read(songs / "lithium" / f"{name}.flac") for name in ("mixture", stem))
    begin = 22 * mixture.sample_rate
    short, true = (Audio(audio.samples[:, begin:], audio.sample_rate) for audio in (mixture, reference))
    estimate = unbraid.separate(short, model)[source].samples
    assert sdr(true.samples, estimate) > sdr(true.samples, short.samples) + gain_db


def test_whole_songs_may_be_heard_at_once():
    song = Audio(signals.noise(70 * 8000, channels=1), 8000)
    whole = unbraid.separate(song, "centre", segment_seconds=600)
    assert torch.isfinite(whole.samples).all()
    with pytest.raises(PlanError, match="at most 3600"):
        unbraid.Separator("centre", segment_seconds=3601)
