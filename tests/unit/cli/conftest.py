"""A front door that separates nothing, and a way to run commands in this process."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import soundfile

from unbraid.cli.main import main
from unbraid.delivery import Separation
from unbraid.errors import AudioError, MachineError, ModelError, UsageError
from unbraid.io.naming import Input, places, track_name
from unbraid.progress import OutputReady, Reporter, Stage
from unbraid.separator import Separator

RATE = 8000
SOURCES = ("drums", "bass", "other", "vocals")
FAILURES = {
    "torn": AudioError("torn.wav ends at 0.1 s of 0.2 s"),
    "bulky": MachineError("the disk is full"),
    "cursed": ValueError("something unforeseen"),
}


class FakeSeparator:
    """Takes what the real one takes, tells what it was told, and writes empty stems.

    A track whose name stands in FAILURES fails with that error; "stopped" is interrupted in the middle.
    """

    calls: list[dict[str, object]]

    def __init__(self, *args, **kwargs):
        bound = inspect.signature(Separator.__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        self.asked = bound.arguments
        self.calls.append(dict(self.asked))
        if self.asked["model"] == "damaged.th":
            raise ModelError("damaged.th is no checkpoint")
        self.name = self.asked["model"]
        self.stems = self.asked["stems"] or SOURCES
        for stem in self.stems:
            if stem.removeprefix("no_") not in (*SOURCES, "rest"):
                raise UsageError(f"no stem is called {stem!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def to_files(self, *args, **kwargs):
        asked = inspect.signature(Separator.to_files).bind(self, *args, **kwargs)
        asked.apply_defaults()
        self.calls.append({key: value for key, value in asked.arguments.items() if key != "self"})
        return self._to_files(**self.calls[-1])

    def _to_files(self, path, template, *, out, format, parent, **_):  # noqa: A002 - as the real one
        names = {"model": self.name, "stems": self.stems, "out": out, "suffix": format.suffix}
        placed = places(Input(path, parent), template, **names)
        track, stems, sidecar = track_name(path), placed.stems, placed.sidecar
        for stage in (Stage.MEASURE, Stage.SEPARATE, Stage.FINISH):
            reporter = Reporter(stage, track, 1000, self.asked["on_event"], self.asked["cancel"])
            for _hundredth in range(100):
                reporter.advance(10)
            if track == "stopped":
                raise KeyboardInterrupt
            if track in FAILURES:
                raise FAILURES[track]
        for stem, place in stems.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"new")
            self.asked["on_event"](OutputReady(track, stem, place))
        return Separation(
            track,
            path,
            stems,
            sidecar,
            sample_rate=RATE,
            length=1600,
            elapsed_seconds=0.05,
            gain_db=-1.25,
            residual_db=float("-inf"),
        )


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    calls: list[dict[str, object]] = field(default_factory=list)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder, with the fake front door."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("unbraid.cli.batch.Separator", FakeSeparator)

    def run(*arguments):
        FakeSeparator.calls = []
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err, FakeSeparator.calls)

    return run


@pytest.fixture
def song(tmp_path):
    """Make a short recording with a name of your choice."""

    def song(name="song.wav", seconds=0.2):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(path), np.zeros((round(seconds * RATE), 2)), RATE, format="WAV")
        return path

    return song
