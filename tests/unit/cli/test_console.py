from __future__ import annotations

import io
import logging
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.cli import console
from unbraid.progress import OutputReady, Progress, Stage


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@given(st.text())
def test_nothing_printable_steers_a_terminal(text):
    shown = console.printable(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in shown)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_letters_signs_and_emoji_are_shown_as_they_are(text):
    assert console.printable(text) == text


def test_json_never_holds_what_json_lacks(capsys):
    console.out_json({"a": [math.inf, -math.inf, {"b": math.nan}], "c": 1.5, "d": "\udce9"})
    assert capsys.readouterr().out == '{"a": [null, null, {"b": null}], "c": 1.5, "d": "\\udce9"}\n'


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_text_reaches_a_stream_of_any_encoding(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding=encoding))
    console.survive_odd_streams()
    console.say("café 歌 🎸 \udce9")
    console.say_table(["track"], [["歌 \udce9"]])
    assert raw.getvalue().count(b"\n") == 3


def events(seconds, *, steps=1000, stage=Stage.SEPARATE, total=1000):
    """A stage that takes so many seconds, in so many steps."""
    for step in range(steps + 1):
        yield Progress(stage, "song", step * 1000 // steps, total, seconds * step / steps)


@pytest.mark.parametrize(("seconds", "most"), [(0.01, 1), (5, 3), (60, 10), (10_000, 10)])
def test_plain_lines_come_once_a_tenth_and_never_in_a_rush(capsys, seconds, most):
    lines = console.Lines()
    for event in events(seconds):
        lines(event)
    said = capsys.readouterr().err.splitlines()
    assert 1 <= len(said) <= most
    assert said[0] == "song: separating"
    assert all(line.startswith("song: separating") for line in said)


def test_plain_lines_say_how_far_and_how_long_still(capsys):
    lines = console.Lines()
    for event in events(100):
        lines(event)
    said = capsys.readouterr().err.splitlines()
    assert said[3] == "song: separating (30 %, 1:10 left)"
    assert len(said) == 10  # the stage itself, and 10 % to 90 %: its end is the start of the next


def test_plain_lines_name_each_stage_and_each_file_once(capsys):
    lines = console.Lines()
    for position in (1, 2):
        for stage in (Stage.MEASURE, Stage.SEPARATE, Stage.FINISH):
            for _ in range(3):
                lines.batch(position, 2, 0.5, None if position == 1 else 65.0)
            lines(Progress(stage, f"song {position}", 0, 10, 0.0))
        lines(OutputReady(f"song {position}", "vocals", "vocals.wav"))
    assert capsys.readouterr().err.splitlines() == [
        "file 1 of 2",
        "song 1: measuring",
        "song 1: separating",
        "song 1: finishing",
        "file 2 of 2 (50 % of all, 1:05 left)",
        "song 2: measuring",
        "song 2: separating",
        "song 2: finishing",
    ]


def test_fetching_is_counted_in_bytes(capsys):
    lines = console.Lines()
    lines(Progress(Stage.FETCH, "htdemucs", 0, 84_000_000, 0.0))
    lines(Progress(Stage.FETCH, "htdemucs", 42_000_000, 84_000_000, 5.0))
    assert (
        capsys.readouterr().err.splitlines()[1] == "htdemucs: fetching (50 %, 0:05 left, 42.0 MB of 84.0 MB)"
    )


def test_a_stage_of_unknown_length_is_named_and_not_counted(capsys):
    lines = console.Lines()
    for event in events(100, stage=Stage.MEASURE, total=None):
        lines(event)
    assert capsys.readouterr().err.splitlines() == ["song: measuring"]


def test_bars_show_name_stage_and_time_left_and_clean_up(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with console.display() as display:
        assert isinstance(display, console.Bars)
        display(Progress(Stage.SEPARATE, "[bold]so\x1b[31mng", 250, 1000, 10.0))
        display.batch(2, 3, 0.4, 65.0)
        display._bars.refresh()
        display(OutputReady("song", "vocals", "vocals.wav"))
    shown = screen.getvalue()
    for words in ("[bold]so\\x1b[31mng: separating", "25 %", "40 %", "0:30 left", "file 2 of 3", "1:05 left"):
        assert words in shown
    assert shown.endswith("\x1b[2K")  # the last thing done is to wipe the line


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_long_name_gives_way_to_how_far_and_how_long(monkeypatch, columns):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with console.display() as display:
        display(Progress(Stage.SEPARATE, "歌 a name " * 30, 250, 1000, 1000.0))
        display._bars.refresh()
    assert "…: separating" in screen.getvalue()
    assert "25 %" in screen.getvalue()
    assert "50:00 left" in screen.getvalue()


@pytest.mark.parametrize(
    ("stderr", "stdout", "quiet", "data", "kind"),
    [
        (Screen, io.StringIO, False, False, console.Bars),
        (Screen, io.StringIO, False, True, console.Bars),
        (Screen, Screen, False, True, console.Lines),
        (Screen, Screen, False, False, console.Bars),
        (io.StringIO, io.StringIO, False, False, console.Lines),
        (Screen, Screen, True, False, console.Display),
    ],
)
def test_the_display_suits_the_terminal(monkeypatch, stderr, stdout, quiet, data, kind):
    monkeypatch.setattr(sys, "stderr", stderr())
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setenv("TERM", "xterm")
    assert type(console.display(quiet=quiet, data_on_stdout=data)) is kind


def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())
    monkeypatch.setenv("TERM", "dumb")
    assert type(console.display()) is console.Lines


@pytest.mark.parametrize("force", ["1", None])
def test_a_table_in_a_file_has_no_control_character_and_no_wrapped_line(monkeypatch, capsys, force):
    if force:
        monkeypatch.setenv("FORCE_COLOR", force)
    console.out_table(["one", "two"], [["a" * 300, "b\x1b[1m"], ["c", "歌"]])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert [line.split() for line in out.splitlines()] == [
        ["one", "two"],
        ["a" * 300, "b\\x1b[1m"],
        ["c", "歌"],
    ]


def test_numbers_stand_below_each_other(capsys):
    console.say_table(["song", "time"], [["a", "9:59"], ["b", "1:10:00"]], numbers=["time"])
    assert capsys.readouterr().err.splitlines() == ["song     time", "a        9:59", "b     1:10:00"]


def test_a_narrow_terminal_breaks_long_cells_only(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    console.out_table(["model", "says"], [["htdemucs_ft", "many words " * 10]])
    assert "htdemucs_ft " in screen.getvalue()
    assert screen.getvalue().count("\n") > 3


def test_a_warning_of_the_library_is_a_line_for_people(capsys):
    handler = console.LogLines()
    handler.handle(logging.LogRecord("unbraid", logging.WARNING, "", 0, "it is %s", ("late",), None))
    assert capsys.readouterr().err == "unbraid: it is late\n"
