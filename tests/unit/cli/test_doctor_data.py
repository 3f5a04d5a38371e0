from __future__ import annotations

import pytest

from datasets import musdb18hq, save, sound


@pytest.fixture
def data(tmp_path):
    """A sound data set."""
    musdb18hq(tmp_path / "data")
    return tmp_path / "data"


def test_a_sound_data_set_is_summed_up_in_a_line(run, data):
    ended = run("doctor", "--data", str(data))
    assert (ended.code, ended.out) == (0, "")
    assert "layout: musdb18hq, songs: 2, sources: vocals (2), drums (2)" in ended.err
    assert "findings: 0" in ended.err


def test_what_is_wrong_is_a_table_and_the_exit_code(run, data):
    (data / "train/A - Song/bass.wav").unlink()
    save(data / "test/A - Song/mixture.wav", sound(9))
    ended = run("doctor", "--data", str(data))
    assert ended.code == 3
    assert "bass.wav is not there" in ended.out
    assert "residual" in ended.out
    assert "2 of 2 songs are broken: test/A - Song, train/A - Song" in ended.err


def test_notes_alone_are_no_failure(run, data):
    save(data / "train/A - Song/bass.wav", sound(2)[:, :7999])
    ended = run("doctor", "--data", str(data))
    assert ended.code == 0
    assert "1 samples shorter" in ended.out


def test_json_holds_the_same(run, data):
    (data / "train/A - Song/bass.wav").unlink()
    ended = run("doctor", "--data", str(data), "--json")
    (told,) = ended.lines
    assert (ended.code, told["ok"], told["layout"], told["songs"]) == (3, False, "musdb18hq", 2)
    assert told["sources"] == {"vocals": 2, "drums": 2, "bass": 2, "other": 2}
    (finding,) = told["findings"]
    assert (finding["part"], finding["kind"], finding["broken"]) == ("bass", "missing", True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), "nowhere is no folder"),
        (("--data", ".", "--layout", "musdb"), "did you mean musdb18"),
        (("--layout", "musdb18"), "name its folder with --data"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(run, arguments, words):
    ended = run("doctor", *arguments)
    assert ended.code == 2
    assert words in ended.err
