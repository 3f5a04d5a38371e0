from __future__ import annotations

import threading
import tracemalloc

import pytest
import torch

from datasets import LENGTH, RATE, musdb18hq, save, save_streams, sound
from signals import noise, tone
from unbraid.data.check import Kind, check, check_track
from unbraid.data.layouts import tracks
from unbraid.data.track import Recording, Track
from unbraid.errors import Cancelled
from unbraid.progress import Stage


@pytest.fixture
def song(tmp_path):
    """A sound song, and the folder of its files."""
    musdb18hq(tmp_path)
    (track, _) = tracks(tmp_path)
    return track, tmp_path / "test" / "A - Song"


def told(findings):
    """What findings are about, without their sentences."""
    return [(finding.part, finding.kind, finding.is_broken) for finding in findings]


def test_a_sound_data_set_has_nothing_wrong(layout):
    assert list(check(tracks(layout[1]))) == []


def test_a_missing_file_is_named(song):
    track, folder = song
    (folder / "bass.wav").unlink()
    (finding,) = check_track(track)
    assert told([finding]) == [("bass", Kind.MISSING, True)]
    assert (finding.track, finding.found) == ("test/A - Song", "bass.wav is not there")


def test_a_missing_mixture_is_named(song):
    track, folder = song
    (folder / "mixture.wav").unlink()
    assert told(check_track(track)) == [("mixture", Kind.MISSING, True)]


def test_a_file_that_is_no_audio_is_unreadable(song):
    track, folder = song
    (folder / "bass.wav").write_bytes(b"nothing to hear")
    assert told(check_track(track)) == [("bass", Kind.UNREADABLE, True)]


def test_a_file_that_was_cut_is_unreadable_and_says_where(song):
    track, folder = song
    data = (folder / "bass.wav").read_bytes()
    (folder / "bass.wav").write_bytes(data[: len(data) // 2])
    (finding,) = check_track(track)
    assert told([finding]) == [("bass", Kind.UNREADABLE, True)]
    assert "ends at 0.5 s of 1.0 s" in finding.found


def test_another_rate_is_broken(song):
    track, folder = song
    save(folder / "bass.wav", sound(2), rate=2 * RATE)
    (finding,) = check_track(track)
    assert told([finding]) == [("bass", Kind.RATE, True)]
    assert finding.found == "bass.wav is at 16000 Hz, mixture at 8000 Hz"


def test_other_channels_are_broken_but_mono_is_not(song):
    track, folder = song
    save(folder / "bass.wav", sound(2, channels=3))
    assert told(check_track(track)) == [("bass", Kind.CHANNELS, True)]
    mono = sound(2, channels=1)
    save(folder / "bass.wav", mono)
    save(folder / "mixture.wav", sound(0) + sound(1) + mono + sound(3))
    assert check_track(track) == []


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_nan_and_infinity_are_broken_and_have_a_place(song, value):
    track, folder = song
    samples = sound(2)
    samples[1, 6000] = value
    save(folder / "bass.wav", samples, subtype="FLOAT")
    (finding,) = check_track(track)
    assert told([finding]) == [("bass", Kind.NOT_FINITE, True)]
    assert "at 0:00.750" in finding.found


def test_infinity_in_mixture_and_source_is_named_in_both(song):
    track, folder = song
    for name in ("mixture", "bass"):
        samples = sound(2)
        samples[0, 100] = torch.inf
        save(folder / f"{name}.wav", samples, subtype="FLOAT")
    assert told(check_track(track)) == [("mixture", Kind.NOT_FINITE, True), ("bass", Kind.NOT_FINITE, True)]


@pytest.mark.parametrize(("length", "word"), [(LENGTH - 100, "shorter"), (LENGTH + 100, "longer")])
def test_another_length_is_a_note(song, length, word):
    track, folder = song
    save(folder / "bass.wav", sound(2, length=length))
    finding = next(one for one in check_track(track) if one.kind is Kind.LENGTH)
    assert told([finding]) == [("bass", Kind.LENGTH, False)]
    assert f"100 samples {word} than the song's 8000" in finding.found


def test_a_silent_source_and_a_silent_channel_are_notes(song):
    track, folder = song
    one_side = sound(1)
    one_side[1] = 0
    save(folder / "bass.wav", torch.zeros(2, LENGTH))
    save(folder / "drums.wav", one_side)
    save(folder / "mixture.wav", sound(0) + one_side + sound(3))
    findings = check_track(track)
    assert told(findings) == [("drums", Kind.SILENT, False), ("bass", Kind.SILENT, False)]
    assert [finding.found for finding in findings] == [
        "drums.wav is silent in channel 1",
        "bass.wav is silent",
    ]


def test_dither_is_silence(song):
    track, folder = song
    dither = torch.randint(-1, 2, (2, LENGTH), generator=torch.Generator().manual_seed(1)) / 32768
    save(folder / "bass.wav", dither)
    save(folder / "mixture.wav", sound(0) + sound(1) + dither + sound(3))
    assert told(check_track(track)) == [("bass", Kind.SILENT, False)]


def test_antiphase_is_not_silent(song):
    track, folder = song
    side = torch.cat([sound(2, channels=1), -sound(2, channels=1)])
    save(folder / "bass.wav", side)
    save(folder / "mixture.wav", sound(0) + sound(1) + side + sound(3))
    assert check_track(track) == []


@pytest.mark.parametrize(("level", "is_broken"), [(-50, False), (-20, False), (-6, True), (0, True)])
def test_the_level_of_what_the_sources_leave_is_told(song, level, is_broken):
    track, folder = song
    mixture = track.mixture().samples
    extra = noise(LENGTH, seed=77)
    # Uncorrelated with the mixture, so that energies add; then r / (m + r) is the wanted share.
    extra -= (extra * mixture).sum() / mixture.square().sum() * mixture
    share = min(10 ** (level / 10), 0.999)
    extra *= (mixture.square().sum() / extra.square().sum() * share / (1 - share)).sqrt()
    save(folder / "mixture.wav", mixture + extra, subtype="FLOAT")
    (finding,) = check_track(track)
    assert told([finding]) == [("mixture", Kind.SUM, is_broken)]
    assert float(finding.found.split()[1]) == pytest.approx(10 * torch.tensor(share).log10().item(), abs=0.06)


@pytest.mark.parametrize("gain", [0.5, 2.0, -1.0])
def test_a_mixture_at_another_level_is_told_with_the_gain(song, gain):
    track, folder = song
    save(folder / "mixture.wav", gain * track.mixture().samples, subtype="FLOAT")
    (finding,) = check_track(track)
    assert finding.kind is Kind.SUM
    assert f"their sum times {gain:g}" in finding.found
    assert finding.advice == f"scale the sources by {gain:g}"


def test_a_mixture_that_is_silent_is_not_divided_by(song):
    track, folder = song
    save(folder / "mixture.wav", torch.zeros(2, LENGTH))
    assert told(check_track(track)) == [("mixture", Kind.SILENT, False), ("mixture", Kind.SUM, True)]


def test_a_mixture_that_is_the_sum_by_definition_is_not_compared(song):
    track, folder = song
    (folder / "mixture.wav").unlink()
    assert check_track(track.summed()) == []


def test_all_faults_of_a_song_are_found_at_once(song):
    track, folder = song
    (folder / "bass.wav").unlink()
    save(folder / "drums.wav", torch.zeros(2, LENGTH))
    save(folder / "vocals.wav", sound(0, length=10))
    save(folder / "other.wav", sound(0), rate=11025)
    assert {(finding.part, finding.kind) for finding in check_track(track)} == {
        ("bass", Kind.MISSING),
        ("drums", Kind.SILENT),
        ("vocals", Kind.LENGTH),
        ("other", Kind.RATE),
    }


def test_a_stem_file_with_too_few_streams_names_them(tmp_path):
    save_streams(tmp_path / "song.stem.mp4", [tone(44100, gain=0.1)] * 3)
    findings = list(check(tracks(tmp_path)))
    assert {finding.part for finding in findings if finding.is_broken} == {"other", "vocals"}
    assert "has audio streams 0 to 2; 4 was asked for" in findings[0].found


def test_a_song_without_sources_is_broken():
    assert told(check_track(Track("song", {}, ()))) == [("", Kind.EMPTY, True)]


def test_a_source_that_most_songs_have_is_missed_in_the_others(song):
    track, _ = song
    without = Track("b", {source: parts for source, parts in track.sources.items() if source != "bass"})
    findings = list(check([track, track, without]))
    assert told(findings) == [("bass", Kind.ABSENT, False)]
    assert findings[0].found == "not there; 2 of 3 songs have it"


def test_progress_counts_songs(song):
    track, _ = song
    events = []
    assert not list(check([track, track], listener=events.append))
    assert [(event.stage, event.done, event.total) for event in events] == [
        (Stage.MEASURE, done, 2) for done in range(3)
    ]


def test_it_can_be_stopped(song):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        check_track(song[0], cancel=cancel)


def test_memory_does_not_grow_with_the_song(tmp_path):
    def peak(minutes):
        samples = noise(minutes * 60 * RATE, channels=1)
        recording = Recording(save(tmp_path / f"{minutes}.wav", samples))
        tracemalloc.start()
        check_track(Track("song", {"vocals": (recording,)}, (Recording(save(tmp_path / "m.wav", samples)),)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(16) < 1.2 * peak(2)


def test_real_songs_with_true_stems_have_nothing_wrong(songs):
    (track, *_) = tracks(songs)
    assert check_track(track) == []
    assert not track.is_summed
