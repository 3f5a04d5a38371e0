"""Estimates are brought to the names, sums and length of the true stems, or refused."""

from __future__ import annotations

import pytest
import torch

from datasets import LENGTH, RATE, sound
from unbraid.errors import AudioError
from unbraid.evaluation.songs import Part, Song, grouped_stems, grouped_tracks, named_alike, scorable

ONE = torch.ones(2, 4)


def stems(*names):
    """Stems of constants that tell which were added up."""
    return {name: 10.0**at * ONE for at, name in enumerate(names)}


def told(found):
    return {name: samples[0, 0].item() for name, samples in found.items()}


@pytest.fixture
def song(songs):
    return Song(songs[0], Part())


def test_the_accompaniment_is_all_but_the_vocals(song):
    everything = sum(sound(seed) for seed in range(4))
    torch.testing.assert_close(song.reference("accompaniment"), everything - sound(0))
    torch.testing.assert_close(song.reference("no_bass"), everything - sound(2))
    assert song.reference("no_guitar") is None
    assert song.reference("harmonic") is None


def test_a_part_of_a_song_is_that_part_of_mixture_and_true_stems(songs):
    part = Song(songs[0], Part(0.25, 0.5))
    torch.testing.assert_close(part.reference("drums"), sound(1)[:, RATE // 4 : 3 * RATE // 4])
    assert part.mixture.shape == (2, RATE // 2)


@pytest.mark.parametrize(
    ("names", "references", "called"),
    [
        (("no_vocals", "vocals"), ("vocals", "drums"), ["vocals", "accompaniment"]),
        (("vocals", "other"), ("vocals", "drums", "other"), ["vocals", "accompaniment"]),
        (("bass", "other"), ("vocals", "bass", "other"), ["bass", "no_bass"]),
        (("vocals", "other"), ("vocals", "other"), ["vocals", "other"]),
        (("other", "bass", "vocals"), ("vocals",), ["vocals", "bass", "other"]),
    ],
)
def test_names_mean_what_they_mean_in_the_data_set(names, references, called):
    assert list(named_alike(stems(*names), references)) == called


def test_four_adds_what_is_nobodys_to_other():
    found = grouped_stems(stems("vocals", "drums", "bass", "guitar", "piano", "other"), "four")
    assert told(found) == {"vocals": 1, "drums": 10, "bass": 100, "other": 111_000}
    assert told(grouped_stems(stems("vocals", "accompaniment"), "four")) == {"vocals": 1, "accompaniment": 10}


def test_sums_take_what_there_is_where_other_holds_the_rest():
    groups = {"vocals": ["vocals"], "band": ["drums", "bass"], "other": ["guitar", "other"]}
    found = grouped_stems(stems("vocals", "drums", "bass", "other"), groups)
    assert told(found) == {"vocals": 1, "band": 110, "other": 1000}
    assert told(grouped_stems(stems("vocals", "drums"), groups)) == {"vocals": 1}  # half a band is no band
    assert told(grouped_stems(stems("vocals", "band"), groups)) == {"vocals": 1, "band": 10}


def test_sums_of_songs_are_those_of_their_sources(songs):
    (first, _) = grouped_tracks(songs, {"accompaniment": ("drums", "bass", "other")})
    torch.testing.assert_close(
        Song(first, Part()).reference("accompaniment"), sum(sound(s) for s in (1, 2, 3))
    )
    assert list(grouped_tracks(songs, "four")[0].sources) == ["vocals", "drums", "bass", "other"]


@pytest.mark.parametrize(
    ("length", "note"), [(LENGTH, ""), (LENGTH - 9, "9 samples short"), (LENGTH + 9, "9 too long")]
)
def test_a_few_samples_more_or_less_are_padded_or_cut_and_told(song, length, note):
    fitted, said = song.fitted("drums", sound(1, length=length), RATE)
    assert fitted.shape == (2, LENGTH)
    assert note in said
    assert bool(said) == bool(note)


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (sound(1), 44100, "at 44100 Hz, the song at 8000 Hz; estimates are not resampled"),
        (sound(1, channels=1), RATE, "has 1 channels, the song 2"),
        (sound(1, length=LENGTH * 98 // 100), RATE, "has 7840 samples, the song 8000"),
    ],
)
def test_estimates_of_another_kind_are_refused(song, samples, rate, words):
    with pytest.raises(AudioError, match=words):
        song.fitted("drums", samples, rate)


def test_stems_without_a_true_one_are_left_out_with_a_word():
    kept, notes = scorable(stems("vocals", "other", "guitar"), stems("vocals", "other"))
    assert kept == ["vocals", "other"]
    assert "guitar: no true stem, not scored" in notes
    assert any(note.startswith("other: it may lack what went to guitar") for note in notes)


def test_the_accompaniment_of_a_lead_voice_is_not_that_of_all_voices():
    kept, notes = scorable(stems("lead_vocals", "accompaniment"), stems("accompaniment", "vocals"))
    assert not kept
    assert len(notes) == 2


def test_silent_true_stems_are_told():
    assert scorable({"bass": ONE}, {"bass": 0 * ONE}) == (["bass"], ["bass: silent in truth, left out"])
