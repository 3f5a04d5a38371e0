from __future__ import annotations

import contextlib
import errno
import logging
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from unbraid.cli.interrupt import interruptible
from unbraid.cli.main import COMMANDS
from unbraid.errors import AudioError


def test_help_names_every_command_and_every_exit_code(run):
    said = run("--help").out
    for name in COMMANDS:
        assert f"\n  {name} " in said
    for words in ("unbraid song.mp3", "A command's name\n  wins", "./models", "0 done", "130 stopped"):
        assert words in said
    assert run("-h").out == said


def test_no_arguments_show_the_help(run):
    assert run() == run("--help")


def test_version_is_one_line(run):
    assert run("--version").out == "unbraid 0.1.0\n"


@pytest.mark.parametrize("name", ["torn.wav", "cursed.wav"])
def test_debug_shows_where_an_error_comes_from_and_keeps_the_exit_code(run, song, name):
    song(name)
    usual, debugged = run(name), run(name, "--debug")
    assert debugged.code == usual.code
    assert "Traceback" in debugged.err
    assert "Traceback" not in usual.err
    assert debugged.err.splitlines()[-1] == usual.err.splitlines()[-1]


def test_debug_after_a_double_dash_is_a_file(run):
    ended = run("--", "--debug")
    assert ended.code == 3
    assert "--debug does not exist" in ended.err


def test_logging_is_left_as_it_was(run, song):
    song()
    logger = logging.getLogger("unbraid")
    before = logger.level, list(logger.handlers)
    run("song.wav", "--debug")
    assert (logger.level, logger.handlers) == before


def test_an_interrupt_sets_the_event_and_rises_once():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as cancel:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert cancel.is_set()
        signal.raise_signal(signal.SIGINT)  # while things are tidied up: ignored
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_a_callback_swallowed_still_stops_the_work(run, song, monkeypatch):
    song("first.wav")
    song("second.wav")

    def swallow(*_):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("unbraid.cli.batch.Batch._show_batch", swallow)
    ended = run("first.wav", "second.wav")
    assert ended.code == 130
    assert "stopped on request" in ended.err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_terminal_that_is_closed_stops_the_work_as_ctrl_c_does():
    with interruptible() as cancel:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        assert cancel.is_set()


def test_an_interrupt_inside_a_callback_is_not_shown_and_other_faults_are(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    with interruptible():
        for kind in (KeyboardInterrupt, ValueError):
            sys.unraisablehook(SimpleNamespace(exc_type=kind))
    assert [fault.exc_type for fault in shown] == [ValueError]


def test_what_the_system_refuses_is_the_machines_error(run, song, monkeypatch):
    song()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "/secret")

    monkeypatch.setattr("unbraid.cli.batch.Batch.survey", refuse)
    ended = run("song.wav")
    assert ended.code == 5
    assert ended.err.splitlines()[-1].endswith("/secret: Permission denied")


@pytest.mark.skipif(sys.platform == "win32", reason="closing a stream is written for a Unix shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_stops_nothing(closed):
    command = f"{shlex.quote(sys.executable)} -m unbraid models {closed}"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_info_and_the_others_share_the_exit_codes(run, song, tmp_path):
    song()
    (tmp_path / "text.mp3").write_text("no sound")
    assert run("info", "song.wav").code == 0
    assert run("info", "text.mp3").code == AudioError.exit_code
    assert run("info", "song.wav", "text.mp3").code == 6
    assert run("models", "path", "nothing").code == 4
    assert run("models", "pull").code == 2
