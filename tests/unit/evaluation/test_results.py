"""Files of scores: museval's can be read, ours have museval's form, and nothing is lost between."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from unbraid.errors import UsageError
from unbraid.evaluation.results import FRAMEWISE, StemScores, TrackScores, read_scores

GOLDEN = Path(__file__).parents[2] / "golden/museval.json"
FRAMES = {name: (float(at), math.nan, math.inf) for at, name in enumerate(FRAMEWISE)}
OURS = TrackScores(
    "A - Song",
    "test",
    {"vocals": StemScores({"sdr": 7.123456789012345}, FRAMES), "bass": StemScores({"sdr": math.nan}, FRAMES)},
    {"bsseval": {"taps": 512}, "sdr": {}},
    {"estimates": {"model": "m"}, "sources": None},
    ("a note",),
)


def shape(value):
    """Keys at every level, without values."""
    if isinstance(value, dict):
        return {key: shape(held) for key, held in value.items()}
    return [shape(value[0])] if isinstance(value, list) else "number or text"


def test_what_museval_wrote_is_read():
    found = read_scores(GOLDEN, track="A - Song", split="test")
    assert (found.key, found.metrics) == ("test/A - Song", {"bsseval": {}})
    assert found.stems["vocals"].frames["bsseval_sdr"][0] == 13.01697
    assert math.isnan(found.stems["vocals"].frames["bsseval_sar"][1])
    assert found.stems["vocals"].value("bsseval_isr") == pytest.approx((25.12742 + 25.08619) / 2)
    assert math.isnan(found.stems["vocals"].value("sdr"))


def test_ours_have_all_that_museval_writes_where_it_writes_it(tmp_path):
    OURS.write(tmp_path / "a.json")
    ours, theirs = (
        shape(json.loads(path.read_text(encoding="utf-8"))) for path in (tmp_path / "a.json", GOLDEN)
    )
    assert set(ours["targets"][0]) - set(theirs["targets"][0]) == {"unbraid"}
    assert ours["targets"][0]["frames"] == theirs["targets"][0]["frames"]
    assert set(theirs) - set(ours) == {"museval_version"}


def test_reading_gives_back_what_was_written(tmp_path):
    OURS.write(tmp_path / "new/a.json")
    found = read_scores(tmp_path / "new/a.json")
    assert repr(found) == repr(OURS)  # NaN equals nothing, but is written alike
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_scores_of_two_runs_are_joined_stem_by_stem():
    more = TrackScores("A - Song", "test", {"vocals": StemScores({"snr": 1.0}, {})}, {"snr": {}}, OURS.made)
    joined = OURS.joined(more)
    assert joined.stems["vocals"].values == {"sdr": 7.123456789012345, "snr": 1.0}
    assert joined.stems["vocals"].frames == FRAMES
    assert list(joined.metrics) == ["bsseval", "sdr", "snr"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"targets": [{"frames": []}]}', '{"targets": 1}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match="is no file of scores"):
        read_scores(tmp_path / "a.json")


def test_frames_of_other_lengths_are_not_put_beside_ours(tmp_path):
    said = json.loads(GOLDEN.read_text(encoding="utf-8"))
    said["targets"][0]["frames"][1]["time"] = 0.5
    (tmp_path / "a.json").write_text(json.dumps(said))
    with pytest.raises(UsageError, match="frames other than whole seconds"):
        read_scores(tmp_path / "a.json")
