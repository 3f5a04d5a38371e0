from __future__ import annotations

import os
from pathlib import Path

import pytest

from unbraid.cli.separate import GROUPS, separate
from unbraid.io.formats import OutputFormat

SHOWN = [param for param in separate.params if not getattr(param, "hidden", False)]
STEMS = ("drums", "bass", "other", "vocals")


def stems_of(folder):
    return sorted(path.stem for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "arguments",
    [
        ["song.wav"],
        ["separate", "song.wav"],
        ["-n", "htdemucs", "song.wav"],
        ["--two-stems", "vocals", "song.wav"],
        ["song.wav", "--stems", "vocals,no_vocals"],
        ["--debug", "song.wav"],
        ["song.wav", "--debug"],
    ],
)
def test_separate_need_not_be_spelt_out(run, song, arguments):
    song()
    ended = run(*arguments)
    assert (ended.code, len(stems_of("separated/htdemucs/song"))) in {(0, 4), (0, 2)}


def test_a_commands_name_wins_over_a_file_of_that_name(run, song):
    song("models")
    assert not run("models").calls
    assert run("./models").calls


def test_a_misspelt_command_is_no_missing_file(run, song):
    ended = run("modles")
    assert (ended.code, ended.calls) == (2, [])
    assert "did you mean models?" in ended.err
    song("modles")
    assert run("modles").code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("-n mine.th", {"model": "mine.th"}),
        ("--name mine.th", {"model": "mine.th"}),
        ("--preset full_band", {"model": "full_band"}),
        ("--model mine.th", {"model": "mine.th"}),
        ("--two-stems vocals", {"stems": ("vocals", "no_vocals")}),
        ("--stems vocals,rest", {"stems": ("vocals", "rest")}),
        ("--stems 'vocals, rest'", {"stems": ("vocals", "rest")}),
        ("--shifts 0", {"shifts": 1}),
        ("--shifts 5", {"shifts": 5}),
        ("--overlap 0.1", {"overlap": 0.1}),
        ("--segment 3.5", {"segment_seconds": 3.5}),
        ("--seed 7", {"seed": 7}),
        ("--sum exact", {"sum": "exact"}),
        ("-d cpu", {"device": "cpu"}),
        ("--threads 2", {"threads": 2}),
        ("--offline", {"offline": True}),
        ("--repo models", {"weights_folder": Path("models")}),
        ("--weights-folder models", {"weights_folder": Path("models")}),
    ],
)
def test_each_option_reaches_the_front_door_and_no_other_changes(run, song, arguments, expected):
    song()
    Path("mine.th").write_bytes(b"weights")
    usual = run("song.wav").calls[0]
    words = [word.strip("'") for word in arguments.replace(", ", ",").split()]
    made = run(*words, "--overwrite", "song.wav").calls[0]
    ignored = {"self", "on_event", "cancel"}
    assert {key: value for key, value in made.items() if key not in ignored} == {
        **{key: value for key, value in usual.items() if key not in ignored},
        **expected,
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", OutputFormat("wav")),
        ("--mp3", OutputFormat("mp3")),
        ("--mp3 --mp3-bitrate 192", OutputFormat("mp3", bitrate_kbps=192)),
        ("--mp3 --bitrate 192 --mp3-bitrate 192", OutputFormat("mp3", bitrate_kbps=192)),
        ("--format mp3 --mp3", OutputFormat("mp3")),
        ("--flac", OutputFormat("flac")),
        ("--flac --int24", OutputFormat("flac", "24")),
        ("--int24", OutputFormat("wav", "24")),
        ("--float32", OutputFormat("wav", "32f")),
        ("--bits 24 --int24", OutputFormat("wav", "24")),
        ("--format opus --bitrate 96", OutputFormat("opus", bitrate_kbps=96)),
    ],
)
def test_our_words_and_those_of_demucs_mean_the_same_format(run, song, arguments, expected):
    song()
    assert run(*arguments.split(), "song.wav").calls[1]["format"] == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--mp3 --format flac song.wav", "--format flac and --mp3"),
        ("--mp3 --flac song.wav", "--mp3 and --flac"),
        ("--int24 --float32 song.wav", "--int24 and --float32"),
        ("--bits 16 --int24 song.wav", "--bits 16 and --int24"),
        ("--mp3 --bitrate 128 --mp3-bitrate 320 song.wav", "--bitrate 128 and --mp3-bitrate 320"),
        ("--two-stems vocals --stems drums song.wav", "--two-stems"),
        ("--skip-existing --overwrite song.wav", "--overwrite"),
        ("--flac --bits 32f song.wav", "16 or 24"),
        ("--bitrate 128 song.wav", "bit rate"),
        ("--sum exact --mp3 song.wav", "mp3 is lossy"),
        ("--filename {artist}/{stem}.{ext} song.wav", "{track}"),
        ("--filename ../{stem}.{ext} song.wav", "output folder"),
        ("--stems singing song.wav", "singing"),
        ("--overlap 1 song.wav", "--overlap"),
        ("--overlap nan song.wav", "finite"),
        ("--segment 0 song.wav", "--segment"),
        ("--segment inf song.wav", "finite"),
        ("--shifts -1 song.wav", "--shifts"),
        ("--start soon song.wav", "m:ss"),
        ("--format mp5 song.wav", "flac"),
        ("--jso song.wav", "--json"),
        ("separate", "FILE"),
        ("none/*.wav", "no file fits"),
        ("empty", "holds no audio"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(run, song, tmp_path, arguments, words):
    song()
    (tmp_path / "empty").mkdir()
    ended = run(*arguments.split())
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not Path("separated").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("song.wav", 0, "stems are in"),
        ("cursed.wav", 1, "--debug"),
        ("song.wav --sum both", 2, "exact"),
        ("torn.wav", 3, "ends at"),
        ("missing.wav", 3, "does not exist"),
        ("song.wav -n damaged.th", 4, "no checkpoint"),
        ("bulky.wav", 5, "full"),
        ("stopped.wav", 130, "stopped"),
    ],
)
def test_a_single_file_ends_with_the_exit_code_of_its_own_error(run, song, arguments, code, words):
    Path("damaged.th").write_bytes(b"no weights")
    if arguments != "missing.wav":
        song(arguments.split()[0])
    ended = run(*arguments.split())
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_file_that_cannot_be_read_is_told_before_any_model_is_loaded(run, tmp_path):
    (tmp_path / "text.mp3").write_text("no sound in here")
    ended = run("text.mp3")
    assert (ended.code, ended.calls) == (3, [])


def test_one_bad_file_of_three_does_not_stop_the_others(run, song):
    for name in ("first.wav", "torn.wav", "last.wav"):
        song(name)
    ended = run("first.wav", "torn.wav", "last.wav")
    assert ended.code == 6
    assert "1 of 3 files failed: torn.wav" in ended.err
    for track in ("first", "last"):
        assert stems_of(f"separated/htdemucs/{track}") == sorted(STEMS)
    assert not Path("separated/htdemucs/torn").exists()


@pytest.mark.parametrize(
    "names", [("torn.wav", "bulky.wav"), ("missing.wav", "away.wav"), ("cursed.wav", "torn.wav")]
)
def test_several_files_that_all_fail_end_with_six(run, song, names):
    for name in names:
        if name.removesuffix(".wav") in {"torn", "bulky", "cursed"}:
            song(name)
    ended = run(*names)
    assert ended.code == 6
    assert f"2 of 2 files failed: {', '.join(names)}" in ended.err


def test_the_summary_has_a_row_for_each_file_and_says_where_the_stems_are(run, song):
    for name in ("first.wav", "torn.wav"):
        song(name)
    lines = run("first.wav", "torn.wav").err.splitlines()
    heading = next(line for line in lines if line.startswith("track"))
    assert heading.split() == ["track", "duration", "time", "RTF", "gain", "residual", "result"]
    row = next(line for line in lines if line.startswith("first "))
    assert row.split() == ["first", "0:00", "0:00", "0.25", "-1.2", "dB", "-inf", "dB", "done"]
    assert row.index("0.25") + 4 == heading.index("RTF") + 3  # numbers stand below each other
    assert any(line.startswith("torn.wav ") and line.endswith("failed") for line in lines)
    assert f"stems are in {Path('separated/htdemucs/first')}" in lines


def test_json_is_one_valid_object_a_line_for_finished_and_failed_files(run, song):
    for name in ("first.wav", "torn.wav", "cursed.wav"):
        song(name)
    ended = run("--json", "first.wav", "missing.wav", "torn.wav", "cursed.wav")
    by_input = {line["input"]: line for line in ended.lines}
    assert {name: line["result"] for name, line in by_input.items()} == {
        "first.wav": "done",
        "missing.wav": "failed",
        "torn.wav": "failed",
        "cursed.wav": "failed",
    }
    assert by_input["first.wav"]["stems"]["vocals"] == str(Path("separated/htdemucs/first/vocals.wav"))
    assert by_input["first.wav"]["residual_db"] is None
    assert [by_input[name]["exit_code"] for name in ("torn.wav", "cursed.wav")] == [3, 1]
    assert ended.code == 6


def test_quiet_shows_nothing_but_errors(run, song):
    for name in ("first.wav", "torn.wav"):
        song(name)
    ended = run("--quiet", "first.wav")
    assert (ended.out, ended.err) == ("", "")
    assert all(
        line.startswith("unbraid: ")
        for line in run("--quiet", "--overwrite", "first.wav", "torn.wav").err.splitlines()
    )


def test_existing_stems_are_kept_unless_asked_otherwise(run, song):
    song()
    vocals = Path("separated/htdemucs/song/vocals.wav")
    vocals.parent.mkdir(parents=True)
    vocals.write_bytes(b"mine")
    ended = run("song.wav")
    assert (ended.code, vocals.read_bytes()) == (2, b"mine")
    assert "--overwrite" in ended.err
    assert "--skip-existing" in ended.err
    assert run("--overwrite", "song.wav").code == 0
    assert vocals.read_bytes() == b"new"


def test_a_batch_with_one_existing_stem_is_refused_before_any_work(run, song):
    song("a.wav")
    song("b.wav")
    run("b.wav")
    ended = run("a.wav", "b.wav")
    assert ended.code == 2
    assert not ended.calls  # no model was loaded
    assert not Path("separated/htdemucs/a").exists()


def test_skip_existing_separates_what_is_missing_only(run, song):
    song("a.wav")
    song("b.wav")
    run("a.wav")
    ended = run("--json", "--skip-existing", "a.wav", "b.wav")
    assert [line["result"] for line in ended.lines] == ["skipped", "done"]
    assert ended.code == 0


def test_where_all_stems_are_there_no_model_is_loaded(run, song):
    song("album/a.wav")
    song("album/b.wav")
    run("album", "--two-stems", "vocals")
    ended = run("album", "--two-stems", "vocals", "--skip-existing", "--json")
    assert (ended.code, ended.calls) == (0, [])
    assert [line["result"] for line in ended.lines] == ["skipped", "skipped"]
    assert Path(ended.lines[0]["stems"]["no_vocals"]).read_bytes() == b"new"
    assert "2 of 2 left out" in ended.err
    assert run("album", "--skip-existing").calls  # of other stems, not all are there


def test_a_checkpoint_of_ones_own_is_asked_for_its_stems(run, song):
    song()
    Path("mine.th").write_bytes(b"weights")
    assert run("song.wav", "-n", "mine.th").code == 0
    ended = run("song.wav", "-n", "mine.th", "--skip-existing")
    assert len(ended.calls) == 1  # made, and never asked to write
    assert "1 of 1 left out" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("-n htdemuc", 4, "did you mean htdemucs"),
        ("-n away/mine.th", 4, "no checkpoint is at away/mine.th; a name such as htdemucs has neither"),
        ("--stems vocal", 2, "did you mean vocals"),
        ("--two-stems rest", 2, "no_rest"),
        ("-d toaster", 2, "try auto"),
        ("--filename {stem}/{artist}", 2, "{track}"),
    ],
)
@pytest.mark.parametrize("file", ["missing.wav", "text.wav", "song.wav"])
def test_a_bad_option_is_told_before_any_file_is_looked_at(run, song, file, arguments, code, words):
    song()
    Path("text.wav").write_text("no sound in here")
    ended = run(file, *arguments.split())
    assert (ended.code, ended.calls, len(ended.err.splitlines())) == (code, [], 1)
    assert words in ended.err


def test_the_same_command_a_second_time_takes_no_stem_for_a_song(run, song):
    song("song.wav")
    song("disc/song.wav")
    first = run(".")
    assert run(".", "--overwrite").code == first.code == 0
    assert sorted(stems_of("separated")) == sorted(2 * STEMS)


def test_two_inputs_with_one_output_are_refused_before_any_work(run, song):
    song("left/song.wav")
    song("right/song.wav")
    ended = run("left/song.wav", "right/song.wav")
    assert ended.code == 2
    assert str(Path("left/song.wav")) in ended.err
    assert str(Path("right/song.wav")) in ended.err
    assert not Path("separated").exists()


def test_a_folder_is_mirrored(run, song):
    song("album/disc one/song.wav")
    song("album/disc two/song.wav")
    assert run("album").code == 0
    for disc in ("disc one", "disc two"):
        assert stems_of(f"separated/{disc}/htdemucs/song") == sorted(STEMS)


def test_ctrl_c_sums_up_what_was_finished(run, song):
    for name in ("first.wav", "stopped.wav", "never.wav"):
        song(name)
    ended = run("first.wav", "stopped.wav", "never.wav")
    assert ended.code == 130
    assert any(line.startswith("first ") and line.endswith("done") for line in ended.err.splitlines())
    assert not Path("separated/htdemucs/never").exists()


def test_start_and_duration_are_passed_in_seconds(run, song):
    song()
    asked = run("--start", "0:01.5", "--duration", "2:00", "song.wav").calls[1]
    assert (asked["start_seconds"], asked["duration_seconds"]) == (1.5, 120.0)


def test_every_option_stands_in_exactly_one_group_of_the_help():
    grouped = [name for names in GROUPS.values() for name in names]
    options = [param.name for param in SHOWN if param.name != "files"]
    assert sorted(grouped) == sorted(options)


def test_help_names_every_option_with_its_default(run):
    ended = run("separate", "--help")
    for heading in GROUPS:
        assert f"\n{heading}:\n" in ended.out
    said = " ".join(ended.out.split())
    assert said.count("[default: ") == len(SHOWN) - 1
    for words in (
        "--two-stems vocals song.mp3",
        "{model}/{track}/{stem}.{ext}",
        "starts in OUT/MODEL",
        "taken as 1",
    ):
        assert words in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file names that are no text")
def test_a_name_that_is_no_text_is_separated_and_reported(run, song):
    name = os.fsdecode(b"caf\xe9.wav")
    song("plain.wav").rename(name)
    ended = run("--json", name)
    assert ended.code == 0
    assert ended.lines[0]["input"] == name
    assert "\\udce9" in ended.err
