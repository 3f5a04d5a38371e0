from __future__ import annotations

import pickle

import pytest
import torch

from datasets import LENGTH, RATE, save, save_four, sound
from signals import noise
from unbraid.data.layouts import tracks
from unbraid.data.track import Recording, Track
from unbraid.errors import AudioError, NonFiniteAudioError, UsageError


@pytest.fixture
def song(tmp_path):
    """Four sources and their mixture."""
    save_four(tmp_path / "song")
    return tracks(tmp_path)[0]


def song_of(folder, mixture=None, **sources):
    """A song whose sources are written to files."""
    recordings = {
        name: (Recording(save(folder / f"{name}.wav", samples)),) for name, samples in sources.items()
    }
    recorded = () if mixture is None else (Recording(save(folder / "mixture.wav", mixture)),)
    return Track("song", recordings, recorded)


@pytest.mark.parametrize("length", [1000, 4096, LENGTH - 1, LENGTH, 100_000])
def test_the_size_of_blocks_never_changes_what_is_read(song, length):
    pieces = list(song.blocks(length=length))
    assert all(mixture.length == length for mixture, _ in pieces[:-1])
    mixture = torch.cat([mixture.samples for mixture, _ in pieces], 1)
    references = torch.cat([references.samples for _, references in pieces], 2)
    assert torch.equal(mixture, song.mixture().samples)
    assert torch.equal(references, song.references().samples)


@pytest.mark.parametrize("start", [0, 1, 4000, LENGTH - 1])
@pytest.mark.parametrize("count", [1, 3000, LENGTH, None])
def test_a_part_is_that_part_of_the_whole(song, start, count):
    part = {"start_seconds": start / RATE, "duration_seconds": None if count is None else count / RATE}
    cut = slice(start, None if count is None else start + count)
    assert torch.equal(song.mixture(**part).samples, song.mixture().samples[:, cut])
    assert torch.equal(song.references(**part).samples, song.references().samples[..., cut])
    (mixture, references), *_ = song.blocks(length=100, **part)
    assert torch.equal(mixture.samples, song.mixture(**part).samples[:, :100])
    assert torch.equal(references.samples, song.references(**part).samples[..., :100])


@pytest.mark.parametrize("start", [0, 100, 500, 501, 900])
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_a_shorter_source_ends_in_silence_and_a_longer_one_is_cut(tmp_path, start, suffix):
    paths = {name: tmp_path / f"{name}.{suffix}" for name in ("short", "long")}
    save(paths["short"], sound(0, length=500), subtype="MPEG_LAYER_III" if suffix == "mp3" else None)
    save(paths["long"], sound(1, length=4000), subtype="MPEG_LAYER_III" if suffix == "mp3" else None)
    mixture = Recording(save(tmp_path / "mixture.wav", sound(2, length=1000)))
    track = Track("song", {name: (Recording(path),) for name, path in paths.items()}, (mixture,))
    references = track.references(start_seconds=start / RATE)
    assert references.samples.shape == (2, 2, 1000 - start)
    assert not references["short"].samples[:, max(0, 500 - start) :].any()
    assert references["long"].samples.any()


def test_mono_is_the_same_in_every_channel(tmp_path):
    track = song_of(tmp_path, mixture=sound(0), vocals=sound(1, channels=1))
    left, right = track.references()["vocals"].samples
    assert torch.equal(left, right)
    assert torch.equal(left, sound(1, channels=1)[0])


def test_the_mixture_of_mono_and_stereo_sources_is_stereo(tmp_path):
    track = song_of(tmp_path, vocals=sound(1, channels=1), drums=sound(2))
    assert torch.equal(track.mixture().samples, sound(1, channels=1) + sound(2))


def test_many_recordings_of_one_source_are_added_up_and_rounded_once(tmp_path):
    parts = [noise(LENGTH, gain=0.3, seed=seed) for seed in range(12)]
    recordings = [
        Recording(save(tmp_path / f"{at}.wav", part, subtype="FLOAT")) for at, part in enumerate(parts)
    ]
    track = Track("song", {"choir": tuple(recordings)})
    wanted = torch.stack(parts).double().sum(0).float()
    assert torch.equal(track.references()["choir"].samples, wanted)
    assert torch.equal(track.mixture().samples, wanted)


def test_a_source_without_recordings_is_silence(tmp_path):
    track = song_of(tmp_path, drums=sound(0))
    both = Track("song", {**track.sources, "vocals": ()})
    assert not both.references()["vocals"].samples.any()
    assert torch.equal(both.mixture().samples, sound(0))


def test_a_summed_song_forgets_what_was_recorded(tmp_path):
    track = song_of(tmp_path, mixture=sound(5), drums=sound(0), bass=sound(1))
    assert (track.is_summed, track.summed().is_summed) == (False, True)
    assert torch.equal(track.mixture().samples, sound(5))
    assert torch.equal(track.summed().mixture().samples, sound(0) + sound(1))


def test_a_source_at_another_rate_is_refused_with_both(tmp_path):
    track = song_of(tmp_path, mixture=sound(0))
    vocals = Recording(save(tmp_path / "vocals.wav", sound(1), rate=16000))
    with pytest.raises(AudioError, match=r"vocals\.wav is at 16000 Hz, the mixture at 8000 Hz"):
        Track("song", {"vocals": (vocals,)}, track.recorded).references()


def test_a_source_of_other_channels_is_refused_with_both(tmp_path):
    track = song_of(tmp_path, mixture=sound(0, channels=1), vocals=sound(1))
    with pytest.raises(AudioError, match=r"vocals\.wav has 2 channels, the mixture 1"):
        track.references()


@pytest.mark.parametrize("where", ["mixture", "vocals"])
def test_nan_is_refused_with_its_file_and_place(tmp_path, where):
    samples = {"mixture": sound(0), "vocals": sound(1)}
    samples[where][0, 4000] = torch.nan
    paths = {name: save(tmp_path / f"{name}.wav", one, subtype="FLOAT") for name, one in samples.items()}
    track = Track("song", {"vocals": (Recording(paths["vocals"]),)}, (Recording(paths["mixture"]),))
    with pytest.raises(NonFiniteAudioError, match=rf"song: {where}.wav .*0:00.500 \(sample 4000\)"):
        list(track.blocks(length=300))


def test_a_part_behind_the_end_is_refused(song):
    with pytest.raises(UsageError, match=r"it ends at 0:01\.000"):
        song.mixture(start_seconds=1.0)


def test_a_song_without_any_recording_is_refused():
    with pytest.raises(AudioError, match="song has neither a mixture nor a source that is recorded"):
        Track("song", {"vocals": ()}).mixture()


def test_a_stream_that_a_file_does_not_have_is_refused_with_those_it_has(song):
    (recording,) = song.recorded
    with pytest.raises(AudioError, match=r"mixture\.wav has audio streams 0 to 0; 3 was asked for"):
        Recording(recording.path, 3).info()


def test_a_song_can_be_sent_to_another_process(song):
    assert song.length == LENGTH
    again = pickle.loads(pickle.dumps(song))  # noqa: S301 - our own bytes
    assert torch.equal(again.mixture().samples, song.mixture().samples)
