from __future__ import annotations

import os
import string
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.errors import MachineError, UsageError
from unbraid.io.naming import Input, check_collisions, expand, inputs, places, track_name
from unbraid.io.probe import probe

DEFAULT = "{model}/{track}/{stem}.{ext}"
names = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)


def filled(template=DEFAULT, *, model="htdemucs", track="song", stem="vocals", ext="wav"):
    return expand(template, model=model, track=track, stem=stem, ext=ext)


# --- templates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "path"),
    [
        (DEFAULT, "htdemucs/song/vocals.wav"),
        ("{track}/{stem}.{ext}", "song/vocals.wav"),
        ("{track} ({stem}).{ext}", "song (vocals).wav"),
        ("{track}\\{stem}.{ext}", "song/vocals.wav"),
        ("./a//{stem}{{x}}.{ext}", "a/vocals{x}.wav"),
        ("{stem}", "vocals"),
    ],
)
def test_a_template_is_filled(template, path):
    assert filled(template) == path


def test_a_suffix_may_come_with_its_dot():
    assert filled("{stem}.{ext}", ext=".flac") == "vocals.flac"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{trak}.{ext}", r"\{trak\}; there are \{model\}, .*did you mean track"),
        ("{}", "there are"),
        ("{track.__class__}", "there are"),
        ("{track!r}", "there are"),
        ("{track:>10}", "there are"),
        ("{track", "is faulty"),
        ("../{track}", "inside the output folder"),
        ("a/../../{track}", "inside the output folder"),
        ("/{track}", "inside the output folder"),
        ("C:\\{track}", "inside the output folder"),
        ("{track}/", "inside the output folder"),
        ("", "inside the output folder"),
        ("x" * 256, "longer than 255 bytes"),
    ],
)
def test_a_faulty_template_says_what_would_work(template, words):
    with pytest.raises(UsageError, match=words):
        filled(template)


@pytest.mark.parametrize(
    ("track", "name"),
    [
        ("AC/DC: Live\\1", "AC_DC_ Live_1"),
        ('<a>"b"|c?*', "_a__b__c__"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        ("...", "_"),
        ("Mr. ", "Mr"),
        ("CON", "CON_"),
        ("nul.b", "nul_.b"),
        ("com1", "com1_"),
        ("Ünï 音楽 🎵", "Ünï 音楽 🎵"),
        ("tab\tnew\nline\0", "tab_new_line_"),
        ("01. Intro", "01. Intro"),
    ],
)
def test_a_value_becomes_a_name_that_every_system_takes(track, name):
    assert filled("{track}/x.{ext}", track=track) == f"{name}/x.wav"


@given(names, names, names)
def test_no_value_leaves_the_folder_or_breaks_a_rule(model, track, stem):
    try:
        path = filled(model=model, track=track, stem=stem)
    except UsageError as error:
        assert "longer than 255 bytes" in str(error)  # noqa: PT017 - the other outcome is checked below
        return
    parts = PurePosixPath(path).parts
    assert len(parts) == 3
    for part in parts:
        assert 0 < len(os.fsencode(part)) <= 255
        assert not set(part) & set('<>:"\\|?*/')
        assert min(part) >= " "
        assert part[-1] not in ". "


@pytest.mark.parametrize("letter", ["a", "ü", "音", "🎵"])
def test_a_long_track_is_shortened_between_letters_and_the_stem_stays(letter):
    path = filled("{track} - {stem}.{ext}", track=letter * 300)
    assert path.endswith(f"{letter} - vocals.wav")
    assert 250 < len(os.fsencode(path)) <= 255
    assert set(path) <= {letter, *string.ascii_lowercase, " ", "-", "."}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/song.flac", "song"),
        ("song.v2.MP3", "song.v2"),
        ("No. 5", "No. 5"),
        ("Vol.2", "Vol.2"),
        ("01. Intro", "01. Intro"),
        ("a.tar.wav", "a.tar"),
    ],
)
def test_a_track_is_called_as_its_file_without_a_suffix_of_sound(path, name):
    assert track_name(path) == name


# --- inputs -------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "b.wav",
        "a.flac",
        "x.txt",
        ".hidden.wav",
        "sub/c.MP3",
        "sub/deep/film.mkv",
        ".git/d.wav",
        "empty/e",
    ):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_gives_all_audio_in_it_and_where_it_was(tree):
    assert inputs(["music"]) == [
        Input(Path("music/a.flac"), ""),
        Input(Path("music/b.wav"), ""),
        Input(Path("music/sub/c.MP3"), "sub"),
        Input(Path("music/sub/deep/film.mkv"), "sub/deep"),
    ]
    assert [item.parent for item in inputs([str(tree / "music")])] == ["", "", "sub", "sub/deep"]


STEMS = ("music/stems/m/a/vocals.wav", "music/stems/sub/m/c/vocals.wav")


@pytest.fixture
def separated(tree):
    """The same folder after it was separated into `music/stems`."""
    for name in STEMS:
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_text("x")
    return tree


@pytest.mark.usefixtures("separated")
@pytest.mark.parametrize("argument", ["music", "./music/../music", "music/**/*.[wfmM]*", "."])
@pytest.mark.parametrize("stems", ["music/stems", "./music/sub/../stems"])
def test_stems_of_an_earlier_run_are_no_songs(argument, stems):
    names = sorted(item.path.name for item in inputs([argument], stems=Path(stems)))
    assert names == ["a.flac", "b.wav", "c.MP3", "film.mkv"]
    assert len(inputs([argument])) == len(names) + len(STEMS)


@pytest.mark.usefixtures("separated")
def test_stems_that_are_asked_for_are_taken():
    stems = Path("music/stems")
    for arguments in (["music/stems"], ["music/stems/**/*.wav"], list(STEMS)):
        assert sorted(item.path.as_posix() for item in inputs(arguments, stems=stems)) == sorted(STEMS)
    assert (
        len(inputs(["music"], stems=Path())) == 6
    )  # the output folder is the one that is searched, or above it


def test_a_folder_that_holds_nothing_but_stems_is_refused_and_says_so(separated, monkeypatch):
    monkeypatch.chdir(separated / "music/stems/m")
    with pytest.raises(UsageError, match=r"no audio .* beside the stems in a, nor"):
        inputs(["."], stems=Path("a"))
    with pytest.raises(UsageError, match="no file fits"):
        inputs(["*/*.wav"], stems=Path("a"))


@pytest.mark.usefixtures("tree")
def test_files_are_taken_as_they_are_given():
    assert inputs(["music/x.txt", "music/b.wav"]) == [Input(Path("music/x.txt")), Input(Path("music/b.wav"))]


@pytest.mark.usefixtures("tree")
def test_a_file_that_does_not_exist_fails_later_and_alone():
    assert inputs(["none.wav", "music/b.wav"]) == [Input(Path("none.wav")), Input(Path("music/b.wav"))]


def test_a_name_too_long_for_any_disk_fails_later_too():
    assert inputs(["n" * 5000]) == [Input(Path("n" * 5000))]
    with pytest.raises(MachineError, match="cannot be opened: File name too long"):
        probe("n" * 5000)


def test_control_characters_of_a_template_never_reach_a_name():
    assert filled("{track}\n/\x1b[31m\0{stem}.{ext}", track="a", stem="b") == "a_/_[31m_b.wav"


@pytest.mark.usefixtures("tree")
def test_patterns_are_expanded_for_shells_that_do_not():
    assert [item.path.name for item in inputs(["music/*.wav"])] == ["b.wav"]
    assert [item.path.name for item in inputs(["music/**/*.mkv", "music/[a-b].*"])] == [
        "film.mkv",
        "a.flac",
        "b.wav",
    ]


@pytest.mark.usefixtures("tree")
def test_a_file_whose_name_looks_like_a_pattern_is_a_file():
    Path("music/[a-b].wav").write_text("x")
    assert inputs(["music/[a-b].wav"]) == [Input(Path("music/[a-b].wav"))]


@pytest.mark.usefixtures("tree")
def test_each_file_is_taken_once():
    assert [item.path.name for item in inputs(["music/b.wav", "music", "./music/b.wav"])] == [
        "b.wav",
        "a.flac",
        "c.MP3",
        "film.mkv",
    ]


@pytest.mark.usefixtures("tree")
def test_a_folder_or_pattern_without_audio_is_refused():
    with pytest.raises(UsageError, match="holds no audio"):
        inputs(["music/empty"])
    with pytest.raises(UsageError, match=r"no file fits music/\*\.ogg"):
        inputs(["music/*.ogg"])


# --- places -------------------------------------------------------------------------------------------


def test_stems_and_their_sidecar_go_below_the_folder_of_their_track(tmp_path):
    found = places(
        Input(Path("in/disc/a.mp3"), "disc"),
        "{model}/{track}/{stem}.{ext}",
        model="m",
        stems=("vocals", "rest"),
        out=tmp_path,
        suffix=".flac",
    )
    folder = tmp_path / "disc/m/a"
    assert found.stems == {"vocals": folder / "vocals.flac", "rest": folder / "rest.flac"}
    assert found.sidecar == folder / "unbraid.json"


def test_stems_are_all_there_only_if_each_is(tmp_path):
    named = {"model": "m", "stems": ("a", "b"), "out": tmp_path, "suffix": "wav"}
    found = places(Input(Path("song.wav")), "{stem}.{ext}", **named)
    for path in found.stems.values():
        assert not found.are_taken
        path.write_text("x")
    assert found.are_taken


def test_a_template_that_names_all_stems_alike_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"put \{stem\} in it"):
        places(Input(Path("a.wav")), "{track}.{ext}", model="m", stems="ab", out=tmp_path, suffix="wav")


# --- collisions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("out/song/a.wav", "out/song/a.wav"), ("out/Song.wav", "out/song.WAV"), ("out/é.wav", "out/é.wav")],
    ids=["same", "case", "normal form"],
)
def test_two_tracks_with_one_output_are_both_named(one, other):
    with pytest.raises(UsageError, match=r"x/s\.wav and y/s\.flac would both write"):
        check_collisions([(Path(one), Path("x/s.wav")), (Path(other), Path("y/s.flac"))])


def test_two_stems_with_one_output_are_told_the_cure():
    with pytest.raises(UsageError, match=r"put \{stem\} in the template"):
        check_collisions([(Path("a.wav"), Path("s.wav")), (Path("a.wav"), Path("s.wav"))])


def test_a_recording_is_never_replaced_by_a_stem():
    with pytest.raises(UsageError, match="would replace"):
        check_collisions([(Path("music/../Song.wav"), Path("song.wav"))])


def test_different_outputs_pass():
    check_collisions([(Path("a/v.wav"), Path("s.wav")), (Path("b/v.wav"), Path("s.wav"))])


def test_names_formats_and_probing_need_no_torch():
    code = (
        "import sys, unbraid.io.formats, unbraid.io.naming, unbraid.io.decode, unbraid.io.probe as p; "
        "assert 'torch' not in sys.modules and 'av' not in sys.modules and 'soundfile' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
