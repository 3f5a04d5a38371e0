"""Folders of estimates and of scores, in the layouts that programs write, are matched with songs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datasets import dsd100, save, sound, stems
from unbraid.data.layouts import tracks
from unbraid.errors import UsageError
from unbraid.evaluation.columns import Scored, Stems
from unbraid.evaluation.finding import column_in, named_columns

GOLDEN = Path(__file__).parents[2] / "golden/museval.json"


def test_musevals_estimates_belong_to_song_and_split(songs, estimates):
    column = column_in(estimates(), songs)
    assert isinstance(column, Stems)
    assert column.name == "mine"
    assert {key: folder.parent.name for key, folder in column.folders.items()} == {
        "train/A - Song": "train",
        "test/A - Song": "test",
    }


def test_dsd100s_estimates_belong_to_song_and_split(tmp_path):
    dsd100(tmp_path / "data")
    for split in ("Dev", "Test"):
        save(tmp_path / "Estimates" / split / "001 - A" / "vocals.wav", sound(0))
    column = column_in(tmp_path / "Estimates", tracks(tmp_path / "data"))
    assert set(column.folders) == {"Dev/001 - A", "Test/001 - A"}


def test_what_unbraid_separated_is_named_after_its_model(tmp_path):
    stems(tmp_path / "data")
    for song in ("one", "TWO"):
        folder = tmp_path / "separated/htdemucs" / song
        save(folder / "vocals.wav", sound(0))
        said = {"model": "htdemucs", "gain_db": -6.0, "stems": {"vocals": {"file": "vocals.wav"}}}
        (folder / "unbraid.json").write_text(json.dumps(said))
    column = column_in(tmp_path / "separated", tracks(tmp_path / "data"))
    assert column.name == "htdemucs"
    assert set(column.folders) == {"one", "two"}  # case does not count


def test_one_song_takes_the_folder_itself_whatever_it_is_called(tmp_path):
    stems(tmp_path / "data")
    save(tmp_path / "mine/vocals.wav", sound(0))
    column = column_in(tmp_path / "mine", tracks(tmp_path / "data/one"))
    assert column.folders == {"one": tmp_path / "mine"}


def test_files_of_scores_are_found_where_there_is_no_audio(songs, tmp_path):
    (tmp_path / "museval/test").mkdir(parents=True)
    shutil.copy(GOLDEN, tmp_path / "museval/test/A - Song.json")
    column = column_in(tmp_path / "museval", [song for song in songs if song.split == "test"])
    assert isinstance(column, Scored)
    assert column.scores(songs[0]).stems["vocals"].frames["bsseval_sdr"][0] == 13.01697


def test_a_name_can_be_chosen(songs, estimates):
    assert [column.name for column in named_columns([f"ours={estimates()}"], songs)] == ["ours"]


def test_several_models_in_one_folder_are_refused(tmp_path):
    stems(tmp_path / "data")
    for model in ("a", "b"):
        save(tmp_path / "separated" / model / "one/vocals.wav", sound(0))
    with pytest.raises(UsageError, match="could both be of one; give a folder with one of them"):
        column_in(tmp_path / "separated", tracks(tmp_path / "data"))


def test_what_fits_no_song_is_refused_with_what_was_looked_for(songs, tmp_path):
    save(tmp_path / "mine/A - Sonh/vocals.wav", sound(0))
    with pytest.raises(
        UsageError, match=r"holds nothing for test/A - Song; test/A - Song/STEM\.wav, or .* looked for"
    ):
        column_in(tmp_path / "mine", songs)
    with pytest.raises(UsageError, match="is no folder"):
        column_in(tmp_path / "gone", songs)
