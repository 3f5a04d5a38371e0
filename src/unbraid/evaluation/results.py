"""What an evaluation knows of each track, and the JSON it is kept as, which museval reads, too.

    {"targets": [{"name": "vocals",
                  "frames": [{"time": 0.0, "duration": 1.0, "metrics": {"SDR": 7.1, "ISR": ...}}, ...],
                  "unbraid": {"sdr": 6.9}}],                what museval does not know
     "unbraid": {"metrics": {...}, "made": {...}, ...}}     with what settings, and from what

Like museval's own, these files write NaN and Infinity out, which JSON proper does not have.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unbraid.errors import UsageError
from unbraid.io.disk import Draft
from unbraid.metrics.aggregate import median_over_frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FRAMEWISE = {"bsseval_sdr": "SDR", "bsseval_isr": "ISR", "bsseval_sir": "SIR", "bsseval_sar": "SAR"}
WINDOW_SECONDS = 1.0  # and hop, as in every published BSSEval v4 score


@dataclass(frozen=True, slots=True)
class StemScores:
    """One stem of one track.

    Args:
        values: Numbers of the whole track, by measure; NaN where there is none.
        frames: Numbers of each second, by measure.
    """

    values: Mapping[str, float]
    frames: Mapping[str, tuple[float, ...]]

    def value(self, measure: str) -> float:
        """One number of the track: of frames the median; NaN where there is none."""
        if measure in self.frames:
            return float(median_over_frames(torch.tensor(self.frames[measure], dtype=torch.float64)))
        return self.values.get(measure, math.nan)


@dataclass(frozen=True, slots=True)
class TrackScores:
    """What one model, or folder, scored on one track.

    Args:
        track: The song's name.
        split: Its part of the data set; "" where there are none.
        stems: By name.
        metrics: What it was scored with, and the settings of each.
        made: From what it was scored: the stems, the true stems, the part of the song.
        notes: What a reader should know.
    """

    track: str
    split: str
    stems: Mapping[str, StemScores]
    metrics: Mapping[str, Mapping[str, Any]]
    made: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Split and name, as of `data.track.Track`."""
        return f"{self.split}/{self.track}" if self.split else self.track

    def joined(self, other: TrackScores) -> TrackScores:
        """The same stems with the numbers of both."""
        nothing = StemScores({}, {})
        stems = {}
        for stem in dict.fromkeys([*self.stems, *other.stems]):
            ours, theirs = self.stems.get(stem, nothing), other.stems.get(stem, nothing)
            stems[stem] = StemScores({**ours.values, **theirs.values}, {**ours.frames, **theirs.frames})
        metrics = {**self.metrics, **other.metrics}
        return TrackScores(self.track, self.split, stems, metrics, other.made, other.notes)

    def write(self, path: Path) -> None:
        """Keep it as JSON; the file appears when it is whole.

        Raises:
            MachineError: If it cannot be written.
        """
        text = json.dumps(self.to_json(), indent=1)
        draft = Draft(path)
        try:
            draft.write(f"{text}\n".encode())
            draft.place()
        except BaseException:
            draft.discard()
            raise

    def to_json(self) -> dict[str, Any]:
        """As in this file's head, as plain values."""
        return {
            "targets": [
                {"name": name, "frames": _frames(stem), "unbraid": dict(stem.values)}
                for name, stem in self.stems.items()
            ],
            "unbraid": {
                "track": self.track,
                "split": self.split,
                "metrics": {name: dict(settings) for name, settings in self.metrics.items()},
                "made": dict(self.made),
                "notes": list(self.notes),
            },
        }


def read_scores(path: Path, *, track: str = "", split: str = "") -> TrackScores:
    """The scores of a track from a file of ours or of museval's.

    Args:
        path: Of the JSON file.
        track: The song's name, where the file does not say.
        split: Its part of the data set, where the file does not say.

    Raises:
        UsageError: If it is no such file, or holds frames that are not of a second.
    """
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8"))
        about = said.get("unbraid", {})
        stems = {str(target["name"]): _stem(target, path) for target in said["targets"]}
        measured = any(stem.frames for stem in stems.values())
        return TrackScores(
            about.get("track", track),
            about.get("split", split),
            stems,
            about.get("metrics", {"bsseval": {}} if measured else {}),
            about.get("made", {}),
            tuple(about.get("notes", ())),
        )
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no file of scores as museval or Unbraid writes them: {error}") from error


def _frames(stem: StemScores) -> list[dict[str, Any]]:
    columns = [stem.frames[measure] for measure in FRAMEWISE] if stem.frames else []
    return [
        {
            "time": number * WINDOW_SECONDS,
            "duration": WINDOW_SECONDS,
            "metrics": dict(zip(FRAMEWISE.values(), row, strict=True)),
        }
        for number, row in enumerate(zip(*columns, strict=True))
    ]


def _stem(target: Mapping[str, Any], path: Path) -> StemScores:
    frames = target["frames"]
    grid = [(frame["time"], frame["duration"]) for frame in frames]
    if any(place != (number * WINDOW_SECONDS, WINDOW_SECONDS) for number, place in enumerate(grid)):
        raise UsageError(
            f"{path} has frames other than whole seconds one after the other; only those can be compared "
            "with published scores and with ours, so score it again with museval's own settings"
        )
    rows = {
        measure: tuple(float(frame["metrics"][name]) for frame in frames)
        for measure, name in FRAMEWISE.items()
    }
    values = {str(measure): float(value) for measure, value in target.get("unbraid", {}).items()}
    return StemScores(values, rows if frames else {})
