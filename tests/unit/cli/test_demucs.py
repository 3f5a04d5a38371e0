from __future__ import annotations

import pytest

from unbraid.cli.separate import separate


@pytest.mark.parametrize(
    "arguments",
    ["--other-method add", "--clip-mode rescale", "-j 4", "--jobs 0", "-v", "--verbose", "--shifts 0"],
)
def test_an_option_that_changes_nothing_here_is_taken(run, song, arguments):
    song()
    usual = run("--quiet", "song.wav")
    taken = run("--quiet", "--overwrite", *arguments.split(), "song.wav")
    assert (taken.code, taken.out, taken.err) == (0, "", "")
    ignored = {"self", "on_event", "cancel", "overwrite"}
    for one, other in zip(usual.calls, taken.calls, strict=True):
        assert {**one, **dict.fromkeys(ignored)} == {**other, **dict.fromkeys(ignored)}


@pytest.mark.parametrize("arguments", ["-j 4", "--jobs 4", "-j 2 --jobs 4"])
def test_jobs_says_once_that_threads_decide(run, song, arguments):
    song()
    assert run(*arguments.split(), "song.wav").err.count("--threads") == 1


@pytest.mark.parametrize("place", [0, 1])
def test_quiet_keeps_jobs_from_saying_it(run, song, place):
    song()
    words = [["-j", "4"], ["-q"]]
    assert not run(*words[place], *words[1 - place], "song.wav").err


@pytest.mark.parametrize("name", ["-v", "--verbose"])
def test_verbose_is_debug(run, song, name):
    song("torn.wav")
    assert "Traceback" in run(name, "torn.wav").err


@pytest.mark.parametrize(
    ("arguments", "name", "way"),
    [
        ("--no-split", "--no-split", "memory"),
        ("-s 955717e8", "--sig", "--model"),
        ("--sig 955717e8", "--sig", "--model"),
        ("--mp3-preset 2", "--mp3-preset", "--bitrate"),
        ("--two-stems vocals --other-method none", "--other-method none", "--stems vocals"),
        ("--two-stems vocals --other-method minus", "--other-method minus", "--sum exact"),
        ("--clip-mode clamp", "--clip-mode clamp", "--bits 32f"),
        ("--clip-mode none", "--clip-mode none", "--bits 32f"),
    ],
)
def test_what_is_not_done_here_is_refused_with_what_does_it(run, song, arguments, name, way):
    song()
    ended = run(*arguments.split(), "song.wav")
    assert (ended.code, ended.out, ended.calls) == (2, "", [])
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith(f"unbraid: {name} ")
    assert way in ended.err


@pytest.mark.parametrize("arguments", ["--other-method plus", "--clip-mode soft", "-j many"])
def test_a_value_that_demucs_does_not_know_either_is_refused(run, song, arguments):
    song()
    ended = run(*arguments.split(), "song.wav")
    assert (ended.code, ended.calls) == (2, [])


def test_list_models_prints_what_models_prints_and_needs_no_file(run):
    assert run("--list-models") == run("models")
    assert run("song.wav", "--list-models", "-s", "x").out == run("models").out


def test_help_is_about_our_own_options(run):
    said = run("separate", "--help").out
    hidden = [param for param in separate.params if getattr(param, "hidden", False)]
    assert len(hidden) == 7
    assert not any(name in said for param in hidden for name in param.opts if name.startswith("--"))
    assert "Options of demucs that are not listed" in " ".join(said.split())
