from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from datasets import FOUR, LOSSLESS, moisesdb, musdb18hq, save, save_streams, slakh2100, sound
from signals import tone
from unbraid.data.layouts import LAYOUTS, layout_of, tracks
from unbraid.data.named import FOUR as OURS
from unbraid.errors import AudioError, UsageError

KEYS = {
    "musdb18hq": ["test/A - Song", "train/A - Song"],
    "dsd100": ["Dev/001 - A", "Test/001 - A"],
    "stems": ["one", "two"],
    "moisesdb": ["moisesdb_v0.1/AA11 - Song", "moisesdb_v0.1/BB22 - Song"],
    "slakh2100": ["train/Track00001", "validation/Track00001"],
    "medleydb": ["ArtistA_One", "ArtistB_Two"],
}
SOURCES = {
    "moisesdb": {"vocals": 2, "drums": 1, "other_keys": 1},
    "slakh2100": {"guitar": 2, "bass": 1, "strings_continued": 1},
    "medleydb": {"male_singer": 1, "drum_set": 1, "piano_and_fx_processed_sound": 1},
}


def test_a_layout_is_known_by_what_lies_there_and_its_songs_are_found(layout):
    name, root = layout
    found = tracks(root)
    assert layout_of(root) == name
    assert [track.key for track in found] == KEYS[name]
    wanted = SOURCES.get(name, dict.fromkeys(FOUR, 1))
    for track in found:
        assert {source: len(parts) for source, parts in track.sources.items()} == wanted


def test_true_sources_add_up_to_the_mixture_to_the_sample(layout):
    for track in tracks(layout[1]):
        references = track.references()
        assert references.samples.any(-1).all()
        assert torch.equal(references.samples.sum(0), track.mixture().samples)


def test_a_source_is_what_was_stored_under_its_name(tmp_path):
    musdb18hq(tmp_path)
    references = tracks(tmp_path)[0].references()
    for seed, source in enumerate(FOUR):
        assert torch.equal(references[source].samples, sound(seed))


def test_no_audio_is_read_before_it_is_asked_for(layout):
    files = [path for path in layout[1].rglob("*") if path.suffix in {".wav", ".flac"}]
    before = [track.key for track in tracks(layout[1])]
    for path in files:
        path.write_bytes(b"no audio")
    found = tracks(layout[1])
    assert [track.key for track in found] == before
    with pytest.raises(AudioError):
        found[0].mixture()


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_layout_that_is_named_needs_no_guess(name, tmp_path):
    LOSSLESS[name](tmp_path)
    assert [track.key for track in tracks(tmp_path, name)] == KEYS[name]


def test_a_set_converted_to_flac_keeps_its_layout(tmp_path):
    musdb18hq(tmp_path, suffix="flac")
    assert layout_of(tmp_path) == "musdb18hq"
    assert tracks(tmp_path)[0].references().samples.any()


def test_one_split_of_a_set_can_be_given_alone(tmp_path):
    slakh2100(tmp_path)
    assert [track.key for track in tracks(tmp_path / "train")] == ["Track00001"]


def test_the_streams_of_a_stem_file_are_mixture_drums_bass_other_vocals(tmp_path):
    pitches = {"mixture": 200, "drums": 400, "bass": 800, "other": 1600, "vocals": 3200}
    signals = [tone(44100, hz=hz, gain=0.1) for hz in pitches.values()]
    save_streams(tmp_path / "test" / "A - Song.stem.mp4", signals)
    (track,) = tracks(tmp_path)
    assert (track.key, track.sample_rate, track.channels) == ("test/A - Song", 44100, 2)
    heard = {source: audio.samples for source, audio in track.references().items()}
    heard["mixture"] = track.mixture().samples
    for source, samples in heard.items():
        loudest = torch.fft.rfft(samples[0].double()).abs().argmax().item()
        assert loudest * 44100 / samples.shape[1] == pytest.approx(pitches[source], rel=0.01)


def test_streams_of_a_real_stem_file_are_what_another_program_decodes(tmp_path):
    spec = importlib.util.find_spec("stempeg")
    if spec is None or spec.origin is None:
        pytest.skip("the package stempeg, which carries the excerpt, is not installed; make venv does it")
    (path,) = Path(spec.origin).parent.glob("data/*.stem.mp4")
    (tmp_path / path.name).symlink_to(path)
    (track,) = tracks(tmp_path)
    references = track.references()
    for index, source in ((1, "drums"), (4, "vocals")):
        with av.open(str(path)) as file:
            planes = [frame.to_ndarray() for frame in file.decode(file.streams.audio[index])]
        wanted = np.concatenate(planes, 1)  # FFmpeg's AAC decoder gives planar floats
        assert np.array_equal(references[source].samples.numpy(), wanted[:, : track.length])


def test_hidden_files_and_files_without_sound_are_passed_over(tmp_path):
    save(tmp_path / "song" / "vocals.wav", sound(0))
    save(tmp_path / "song" / "._drums.wav", sound(0))
    save(tmp_path / ".trash" / "vocals.wav", sound(0))
    (tmp_path / "song" / "notes.txt").write_text("verse")
    (track,) = tracks(tmp_path)
    assert (track.name, list(track.sources)) == ("song", ["vocals"])


def test_a_folder_of_stems_may_be_one_song_and_lack_a_mixture(tmp_path):
    for seed, name in enumerate(("Lead Vocals.wav", "drums.flac")):
        save(tmp_path / "my song" / name, sound(seed))
    (track,) = tracks(tmp_path / "my song")
    assert (track.key, list(track.sources)) == ("my song", ["lead_vocals", "drums"])
    assert torch.equal(track.mixture().samples, sound(0) + sound(1))


def test_songs_of_one_title_are_told_apart(tmp_path):
    moisesdb(tmp_path)
    for path in tmp_path.rglob("data.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "artist": "Who"}))
    assert [track.name for track in tracks(tmp_path)] == ["Who - Song (aa11)", "Who - Song (bb22)"]


@pytest.mark.parametrize("place", ["Metadata", "../Metadata"])
def test_metadata_of_medleydb_may_lie_in_a_folder_for_all(place, tmp_path):
    LOSSLESS["medleydb"](tmp_path / "set")
    root = tmp_path / "set" / ("Audio" if place.startswith("..") else "")
    (root / place).mkdir()
    for path in (tmp_path / "set").rglob("*_METADATA.yaml"):
        path.rename(root / place / path.name)
    assert len(tracks(root)) == 2


def test_medleydb_without_metadata_says_where_it_comes_from(tmp_path):
    LOSSLESS["medleydb"](tmp_path)
    next(tmp_path.rglob("*_METADATA.yaml")).unlink()
    with pytest.raises(AudioError, match=r"has no Artist\w+_METADATA.yaml.*comes with the data set"):
        tracks(tmp_path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("nowhere", None), "is no folder"),
        (("", "musdb19"), "no layout is called 'musdb19'.*did you mean musdb18"),
        (("", None), "no data set of a known layout.*SONG.stem.mp4"),
        (("", "moisesdb"), "holds no song that looks like .*data.json"),
        (("mix", None), "holds no song that looks like SONG/"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_would_be(asked, words, tmp_path):
    save(tmp_path / "mix" / "song" / "sub" / "mixture.wav", sound(0))
    (tmp_path / "empty").mkdir()
    folder = tmp_path / (asked[0] or "empty")
    with pytest.raises(UsageError, match=words):
        tracks(folder, asked[1])


def test_two_files_of_one_source_are_refused_not_added_up(tmp_path):
    for name in ("vocals.wav", "vocals.flac"):
        save(tmp_path / "song" / name, sound(0))
    with pytest.raises(AudioError, match=r"holds vocals twice, as vocals\.flac and vocals\.wav"):
        tracks(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "where a dict was expected"),
        ("{}", "says 'stems' as None; a list was expected"),
        ('{"stems": []}', "names no recording"),
        ('{"stems": [{"stemName": 7, "tracks": []}]}', "says 'stemName' as 7; a str was expected"),
        ('{"stems": [{"stemName": "..", "tracks": [{"id": "../x", "extension": "wav"}]}]}', "own folder"),
        ('{"stems": [{"stemName": "/etc", "tracks": [{"id": "x", "extension": "wav"}]}]}', "own folder"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_with_its_path(text, words, tmp_path):
    path = tmp_path / "id" / "data.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AudioError, match=words) as refusal:
        tracks(tmp_path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("text", ["stems: [", "!!python/object/apply:os.system ['true']"])
def test_yaml_that_is_damaged_or_would_run_something_is_refused(text, tmp_path):
    slakh2100(tmp_path)
    next(tmp_path.rglob("metadata.yaml")).write_text(text)
    with pytest.raises(AudioError, match="is no YAML"):
        tracks(tmp_path)


def test_every_layout_is_tested():
    assert {*LOSSLESS, "musdb18"} == set(LAYOUTS)
    assert set(OURS) == set(FOUR)
    assert all(layout.looks for layout in LAYOUTS.values())
