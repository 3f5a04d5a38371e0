"""Folders become columns: found, named, ordered, completed, or refused with what would work."""

from __future__ import annotations

import json
import re

import pytest
import torch

import signals
import unbraid
from unbraid.audio import Audio
from unbraid.comparison.columns import Comparison, Part, add_column, named_folders, stems_in
from unbraid.comparison.numbers import bsseval_medians, courses, examination, parts
from unbraid.errors import ShapeError, UsageError
from unbraid.plot.sound import measured, mixed

RATE = 8000


def audio(seed, seconds=2.0):
    return Audio(signals.noise(round(seconds * RATE), seed=seed), RATE)


@pytest.fixture
def folder(tmp_path):
    """Make a folder of stems."""

    def folder(name, *stems, seconds=2.0):
        for stem in stems:
            unbraid.write(audio(len(stem), seconds), tmp_path / name / f"{stem}.wav")
        return tmp_path / name

    return folder


def samples(source):
    return torch.cat(list(source.read()), -1)


def test_files_are_stems_in_the_order_of_music_and_the_mixture_is_none(folder):
    place = folder("mine", "other", "zither", "bass", "mixture", "drums", "vocals")
    (place / "notes.txt").write_text("no sound")
    assert stems_in(place, Part())[0] == "mine"
    assert list(stems_in(place, Part())[1]) == ["vocals", "drums", "bass", "other", "zither"]


def test_what_unbraid_wrote_is_named_after_its_model_and_gets_its_level_back(folder):
    place = folder("track", "vocals")
    said = {"model": "htdemucs", "gain_db": -6.0, "stems": {"vocals": {"file": "vocals.wav"}}}
    (place / "unbraid.json").write_text(json.dumps(said))
    name, stems = stems_in(place, Part())
    assert name == "htdemucs"
    wanted = audio(6).samples.double() * 10 ** (6 / 20)
    torch.testing.assert_close(samples(stems["vocals"]), wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "text", ["no json", "[]", "{}", '{"model": 1, "gain_db": 0, "stems": {"a": {"file": "b"}}}']
)
def test_another_programs_json_is_passed_over(folder, text):
    place = folder("track", "vocals")
    (place / "unbraid.json").write_text(text)
    assert stems_in(place, Part())[0] == "track"


def test_a_part_is_cut_from_every_file(folder):
    stem = stems_in(folder("a", "vocals"), Part(0.5, 1.0))[1]["vocals"]
    torch.testing.assert_close(samples(stem), audio(6).samples[:, RATE // 2 : 3 * RATE // 2])


def test_folders_of_one_name_are_told_apart_and_names_can_be_chosen(folder):
    one, other = folder("a/song", "vocals"), folder("b/song", "vocals")
    found = named_folders([str(one), str(other), f"mine={one}"], Part())
    assert list(found) == ["song", "b/song", "mine"]


@pytest.mark.parametrize("name", ["a", "true"])
def test_two_columns_of_one_name_are_refused(name):
    with pytest.raises(UsageError, match="--stems NAME=FOLDER"):
        add_column({"a": {}}, name, {})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "is no folder; name one that holds a song's stems"),
        (["mixture.wav"], "holds no stems such as vocals.wav"),
        (["vocals.wav", "vocals.flac"], "keep one file for each stem"),
    ],
)
def test_a_folder_without_stems_is_refused(tmp_path, files, words):
    for file in files:
        unbraid.write(audio(0), tmp_path / "a" / file)
    with pytest.raises(UsageError, match=re.escape(words)):
        stems_in(tmp_path / "a", Part())


def sources(**seeds):
    return {stem: measured(audio(seed)) for stem, seed in seeds.items()}


def compared(columns, references=()):
    mixture = measured(audio(0))
    return Comparison(mixture, columns, dict(references), {})


def test_nothing_to_compare_is_refused():
    with pytest.raises(UsageError, match="name models with -n, or folders with --stems"):
        compared({})


def test_stems_of_another_length_are_refused_with_both():
    short = {"vocals": measured(audio(1, 1.0))}
    with pytest.raises(ShapeError, match=r"8000 samples .* 16000 samples"):
        compared({"a": short})


def test_everything_but_a_stem_is_added_up_where_another_column_has_it():
    four = sources(vocals=1, drums=2, bass=3, other=4)
    found = compared({"four": four, "two": sources(vocals=1, accompaniment=5)}, four).completed()
    wanted = samples(mixed([four["drums"], four["bass"], four["other"]]))
    for column in (found.columns["four"], found.references):
        torch.testing.assert_close(samples(column["accompaniment"]), wanted)
    assert list(found.columns["two"]) == ["vocals", "accompaniment"]


def test_two_names_for_everything_but_the_vocals_are_one_stem():
    one, other = sources(vocals=1, no_vocals=2), sources(vocals=1, accompaniment=2)
    found = compared({"a": one, "b": other}).completed().columns
    assert list(found["a"]) == list(found["b"]) == ["vocals", "accompaniment", "no_vocals"]
    torch.testing.assert_close(samples(found["a"]["accompaniment"]), samples(one["no_vocals"]))


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("vocals drums bass other", "vocals drums bass other"),
        ("vocals accompaniment", "vocals accompaniment"),
        ("vocals drums no_drums", "drums no_drums"),
        ("vocals drums bass other accompaniment", "vocals accompaniment"),
        ("accompaniment", "accompaniment"),
    ],
)
def test_parts_hold_each_sound_once(column, wanted):
    assert set(parts(dict.fromkeys(column.split()))) == set(wanted.split())


def test_scores_are_those_of_the_stems_that_have_a_true_one():
    true = sources(vocals=1, drums=2)
    worse = {"vocals": mixed([true["vocals"]], [0.9]), "bass": true["drums"]}
    found = courses(compared({"a": true, "b": worse}, true))
    assert found["vocals"]["b"].whole_db == pytest.approx(20, abs=0.01)
    assert list(found["drums"]) == ["a"]


def test_bsseval_hears_what_bleeds_in_and_needs_every_true_stem():
    true = sources(vocals=1, drums=2)
    bled = {"vocals": mixed(list(true.values()), [1, 0.1]), "drums": true["drums"]}
    sdr, _, sir, _ = bsseval_medians(true, bled)["vocals"]
    assert sdr == pytest.approx(20, abs=0.5)
    assert sir == pytest.approx(20, abs=0.5)
    assert bsseval_medians({"vocals": true["vocals"]}, bled) == {}
    silent = {**true, "drums": mixed([true["drums"]], [0])}
    assert bsseval_medians(silent, bled) == {}


def test_what_is_left_over_is_measured_on_the_parts():
    true = sources(vocals=1, drums=2, bass=3)
    mixture = mixed(list(true.values()))
    column = {**true, "accompaniment": mixed([true["drums"], true["bass"]])}
    assert examination(mixture, column).residual_db < -140
    assert examination(mixture, {"vocals": true["vocals"]}).residual_db == pytest.approx(-1.76, abs=0.1)
