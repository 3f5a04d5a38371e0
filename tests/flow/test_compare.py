"""`unbraid plot` and `unbraid compare`: from files to pictures and a page; and the page in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

import signals
import unbraid
from unbraid.audio import Audio
from unbraid.cli.main import main
from unbraid.separator import Separator
from unbraid.spec import ModelSpec

RATE = 8000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Shares(torch.nn.Module):
    """Vocals and drums, each a fixed share of the mixture."""

    spec = ModelSpec(("vocals", "drums"), RATE, 2, segment=RATE)

    def forward(self, mixture):
        return torch.stack([0.75 * mixture, 0.25 * mixture], 1)


class FakeSeparator(Separator):
    """The real front door around a network that takes no time."""

    def __init__(self, model, **options):
        super().__init__(Shares().eval(), **options)
        self._called = model

    @property
    def name(self):
        return self._called


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in a folder with a song and its true stems."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unbraid.separator.Separator", FakeSeparator)
    stems = {"vocals": signals.noise(2 * RATE, seed=1), "drums": signals.noise(2 * RATE, seed=2)}
    for stem, samples in stems.items():
        unbraid.write(Audio(samples, RATE), tmp_path / "true" / f"{stem}.wav")
    unbraid.write(Audio(sum(stems.values()), RATE), tmp_path / "song.wav")

    def run(*arguments):
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out.strip(), said.err

    return run


def test_models_and_folders_become_columns_of_one_page(run, tmp_path):
    code, out, err = run(
        "compare", "song.wav", "-n", "a", "-n", "b", "--stems", "mine=true", "--truth", "true"
    )
    assert (code, out) == (0, "report.html")
    assert "drawing" in err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'aria-label="drums, (\w+)"', page) == ["true", "mine", "a", "b"]
    assert page.count("separated in") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "song.wav", "true"]


def test_a_part_of_the_song_is_compared_with_that_part_of_its_stems(run, tmp_path):
    part = ("--start", "0.5", "--duration", "1")
    code, _, err = run("compare", "song.wav", "-n", "a", "--truth", "true", *part, "-q")
    assert (code, err) == (0, "")
    assert "<p>1.0 s · 2 channels at 8000 Hz" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compare", "song.wav"], 2, "name models with -n, or folders of stems with --stems"),
        (["compare", "song.wav", "-n", "a", "-n", "a"], 2, "a is named twice; each model is one column"),
        (["compare", "song.wav", "-n", "a", "--stems", "a=true"], 2, "two columns would be called 'a'"),
        (["compare", "song.wav", "-n", "a", "--truth", "nowhere"], 2, "nowhere is no folder"),
        (["compare", "song.wav", "-n", "a", "-o", "song.wav"], 2, "--overwrite replaces it"),
        (["compare", "gone.wav", "-n", "a"], 3, "gone.wav"),
        (["compare", "song.wav", "-n", "a", "--audio", "flac", "--bitrate", "96"], 2, "takes no bit rate"),
        (["plot", "song.wav", "-o", "a.jpg"], 2, "ends in .png, .svg, .pdf"),
        (
            ["plot", "song.wav", "-o", "song.png", "--kind", "sdr", "--stems", "true"],
            2,
            "give --stems and --truth",
        ),
        (["plot", "song.wav", "--stems", "true", "--start", "9"], 2, "it ends at"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(run, tmp_path, arguments, code, words):
    ended, _, err = run(*arguments)
    assert ended == code
    assert words in err
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_song_alone_is_drawn(run, tmp_path, suffix):
    assert run("plot", "song.wav", "-o", f"new/song.{suffix}")[0] == 0
    assert (tmp_path / "new" / f"song.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["spectrograms", "waveforms", "masks", "errors", "differences", "sdr"])
def test_every_kind_of_grid_is_drawn(run, tmp_path, kind):
    asked = ("plot", "song.wav", "--stems", "mine=true", "--truth", "true", "--kind", kind, "--scale", "mel")
    assert run(*asked)[:2] == (0, "song.png")
    assert (tmp_path / "song.png").stat().st_size > 1000
    code, _, err = run(*asked)
    assert code == 2
    assert "--out names another" in err


class Browser:
    """Chromium over a pipe: JavaScript in, values out."""

    def __init__(self, page, folder):
        (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
        command = (
            f'exec "$0" --headless=new --no-sandbox --disable-gpu --autoplay-policy=no-user-gesture-required '
            f'--user-data-dir="$1" --remote-debugging-pipe about:blank 3<&{theirs_in} 4>&{theirs_out}'
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, str(folder)],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self._number, self._rest = 0, b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable", self._session)
        self._call("Page.navigate", self._session, url=page.as_uri())
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def _call(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _message(self):
        while b"\0" not in self._rest:
            piece = self._in.read1(1 << 20)
            assert piece, "the browser ended"
            self._rest += piece
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def run(self, script):
        """The value of an expression; a promise is awaited."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = self._call("Runtime.evaluate", self._session, **asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def close(self):
        self._process.kill()
        self._process.wait()
        for pipe in (self._out, self._in):
            with contextlib.suppress(OSError):
                pipe.close()


UNTIL = """
const until = async (told) => {
  for (let tries = 0; tries < 200; tries++) {
    if (told()) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
};
const heard = () => document.getElementById("heard").textContent;
const button = (name) => document.querySelector(`button[aria-label="listen to ${name}"]`);
const pressed = () => document.querySelectorAll("td button[aria-pressed=true]").length;
const press = (key, target) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
"""


@pytest.mark.skipif(
    CHROMIUM is None or sys.platform != "linux", reason="there is no Chromium to open the page in"
)
def test_the_page_plays_from_disk_in_a_browser(run, tmp_path):
    assert run("compare", "song.wav", "-n", "a", "--truth", "true", "-q")[0] == 0
    browser = Browser(tmp_path / "report.html", tmp_path / "profile")
    try:
        assert browser.run(
            f"{UNTIL} until(() => document.readyState === 'complete' && button('the mixture'))"
        )
        assert browser.run("[...document.querySelectorAll('audio')].every((audio) => audio.hidden)")
        assert browser.run("[...document.images].every((image) => image.naturalWidth > 0)")
        browser.run("document.getElementById('play').click()")
        assert browser.run("until(() => heard() === 'You hear: the mixture')")
        assert browser.run("until(() => Number(document.getElementById('seek').value) > 0.1)")
        browser.run("button('drums, a').click()")
        assert browser.run("until(() => heard() === 'You hear: drums, a' && pressed() === 1)")
        browser.run("document.getElementById('several').click(); button('vocals, a').click()")
        assert browser.run("until(() => pressed() === 2)")
        browser.run("button('drums, true').focus(); press('ArrowRight', document.activeElement)")
        assert browser.run("document.activeElement.getAttribute('aria-label')") == "listen to drums, a"
        assert browser.run(
            "until(() => document.getElementById('play').textContent === 'Play')"
        )  # at its end
        assert browser.run("Number(document.getElementById('seek').value)") == 0
    finally:
        browser.close()
