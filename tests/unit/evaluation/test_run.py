"""Every song is scored once: what is kept is taken again only where nothing has changed."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest
import torch

from datasets import FOUR, RATE, save, sound
from unbraid.errors import AudioError, Cancelled, ModelError, UsageError
from unbraid.evaluation.columns import Model, Oracle, model
from unbraid.evaluation.finding import column_in
from unbraid.evaluation.run import evaluate
from unbraid.progress import Stage
from unbraid.separator import Separator
from unbraid.spec import ModelSpec


class Shares(torch.nn.Module):
    """Each source is a share of the mixture."""

    def __init__(self, *sources):
        super().__init__()
        self.spec = ModelSpec(sources, RATE, 2, segment=RATE)

    def forward(self, mixture):
        return torch.stack([mixture / len(self.spec.sources) for _ in self.spec.sources], 1)


class Counted:
    """Loads the network above, and counts how often, and how many songs were separated."""

    def __init__(self, *sources):
        self.sources, self.loaded, self.separated = sources, 0, 0

    def __call__(self, listener):
        self.loaded += 1

        def listen(event):
            self.separated += event.stage is Stage.SEPARATE and event.done == 0
            listener(event)

        return Separator(Shares(*self.sources).eval(), on_event=listen)

    def column(self, name="shares", **options):
        return Model(name, {"model": name}, self, **options)


@pytest.fixture
def load():
    return Counted("vocals", "drums", "bass", "other")


def sdr(found, column, key="test/A - Song", stem="vocals"):
    return found.columns[column][key].stems[stem].value("sdr")


def test_what_is_kept_is_not_scored_again(songs, load, tmp_path):
    first = evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path / "out")
    assert (load.loaded, load.separated, first.reused) == (1, 2, 0)
    again = evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path / "out")
    assert (load.loaded, load.separated, again.reused) == (1, 2, 2)
    assert again.columns == first.columns
    assert evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path / "out", overwrite=True).reused == 0


def test_scores_lie_where_museval_looks_for_them(songs, load, tmp_path):
    evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "shares").rglob("*.json"))
    assert found == ["shares/test/A - Song.json", "shares/train/A - Song.json"]


def test_another_rule_of_silence_takes_only_the_frames_anew(songs, load, tmp_path):
    asked = {"metrics": ["bsseval", "sdr"], "out": tmp_path}
    evaluate(songs[:1], [load.column()], **asked)
    assert evaluate(songs[:1], [load.column()], **asked).reused == 1
    theirs = evaluate(songs[:1], [load.column()], **asked, silence="museval")
    assert (theirs.reused, load.separated) == (0, 2)
    (scores,) = theirs.columns["shares"].values()
    assert scores.metrics["bsseval"]["silence"] == "museval"
    assert evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path).reused == 1


def test_a_further_metric_is_added_to_what_is_kept(songs, load, tmp_path):
    evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path)
    evaluate(songs[:1], [load.column()], metrics=["snr"], out=tmp_path)
    assert load.separated == 2
    both = evaluate(songs[:1], [load.column()], metrics=["snr", "sdr"], out=tmp_path)
    assert (load.separated, both.reused) == (2, 1)
    assert list(both.columns["shares"]["test/A - Song"].stems["drums"].values) == ["sdr", "snr"]


@pytest.mark.parametrize(
    "change",
    [
        {"sources": "four"},
        {"sources": {"vocals": ["vocals"], "accompaniment": ["drums", "bass", "other"]}},
        {"start_seconds": 0.25},
        {"duration_seconds": 0.5},
    ],
)
def test_other_settings_are_scored_again(songs, load, tmp_path, change):
    evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path)
    assert evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path, **change).reused == 0
    assert evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path, **change).reused == 1


def test_other_weights_other_stems_and_other_truth_are_scored_again(songs, load, estimates, tmp_path):
    def reused(made):
        columns = [column_in(estimates_there, songs[:1]), Model("m", made, load)]
        return evaluate(songs[:1], columns, metrics=["sdr"], out=tmp_path / "out").reused

    estimates_there = estimates(splits=["test"])
    assert [reused({"weights": 1}), reused({"weights": 1}), reused({"weights": 2})] == [0, 2, 1]
    save(estimates_there / "test/A - Song/drums.wav", sound(7), subtype="FLOAT")
    assert reused({"weights": 2}) == 1
    save(tmp_path / "data/test/A - Song/drums.wav", sound(8, length=7990))
    assert reused({"weights": 2}) == 0


@pytest.mark.parametrize("text", ["", "{}", '{"targets": []}'])
def test_half_a_file_is_replaced(songs, load, tmp_path, text):
    evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path)
    (path,) = tmp_path.rglob("A - Song.json")
    path.write_text(text)
    assert evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path).reused == 0
    assert evaluate(songs[:1], [load.column()], metrics=["sdr"], out=tmp_path).reused == 1


@pytest.mark.parametrize("stop", [Cancelled("stopped"), KeyboardInterrupt()])
def test_what_was_scored_before_a_stop_stays_whole(songs, load, tmp_path, stop):
    def listen(event):
        if event.stage is Stage.SCORE and event.done == 1:
            raise stop

    with pytest.raises(type(stop)):
        evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path / "out", listener=listen)
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 1
    assert evaluate(songs, [load.column()], metrics=["sdr"], out=tmp_path / "out").reused == 1


def test_cancelling_stops_before_the_next_song(songs, load):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        evaluate(songs, [load.column()], metrics=["sdr"], cancel=cancel)
    assert load.separated == 0


def test_two_stems_are_scored_on_the_accompaniment(songs):
    load = Counted("vocals", "no_vocals")
    found = evaluate(songs[:1], [load.column()], metrics=["bsseval", "sdr"])
    scores = found.columns["shares"]["test/A - Song"]
    assert list(scores.stems) == ["vocals", "accompaniment"]
    mixture, band = sum(sound(seed) for seed in range(4)), sum(sound(seed) for seed in (1, 2, 3))
    expected = 10 * math.log10(band.square().sum() / (band - mixture / 2).square().sum())
    assert scores.stems["accompaniment"].values["sdr"] == pytest.approx(expected, abs=1e-3)


def test_ideal_masks_beat_the_mixture_and_the_mixture_is_taken_as_it_is(songs):
    found = evaluate(songs[:1], [Oracle(kind) for kind in ("irm2", "irm1", "mixture")], metrics=["sdr"])
    assert sdr(found, "oracle.irm2") > 2
    assert sdr(found, "oracle.irm1") > sdr(found, "oracle.mixture") + 3
    others = sum(sound(seed) for seed in (1, 2, 3))
    expected = 10 * math.log10(sound(0).square().sum() / others.square().sum())
    assert sdr(found, "oracle.mixture") == pytest.approx(expected, abs=1e-3)
    assert found.oracles == {"oracle.irm2", "oracle.irm1", "oracle.mixture"}


def test_regrouped_songs_have_ideal_masks_of_their_groups(songs):
    groups = {"drums": ["drums", "other"], "other": ["bass"]}
    found = evaluate(songs[:1], [Oracle("irm2")], metrics=["sdr"], sources=groups)
    assert all(sdr(found, "oracle.irm2", stem=stem) > 0 for stem in groups)


def test_a_song_without_estimates_is_told_and_the_others_are_scored(songs, estimates):
    found = evaluate(songs, [column_in(estimates(splits=["train"]), songs)], metrics=["sdr"])
    assert list(found.columns["mine"]) == ["train/A - Song"]
    (failure,) = found.failures
    assert (failure.column, failure.track) == ("mine", "test/A - Song")
    assert "holds nothing for test/A - Song" in failure.sentence
    assert "did you mean train/A - Song?" in failure.sentence


def test_estimates_at_another_rate_are_a_failure_of_their_song(songs, estimates):
    found = evaluate(songs, [column_in(estimates(rate=44100), songs)], metrics=["sdr"])
    assert [type(failure.error) for failure in found.failures] == [AudioError, AudioError]


def test_estimates_of_nothing_that_is_known_are_a_failure(songs, tmp_path):
    save(tmp_path / "odd/test/A - Song/kazoo.wav", sound(0))
    found = evaluate(songs[:1], [column_in(tmp_path / "odd", songs[:1])], metrics=["sdr"])
    assert "none of the estimates kazoo is one of the true stems vocals, drums" in found.failures[0].sentence


def test_a_few_samples_less_are_a_note(songs, estimates):
    found = evaluate(songs[:1], [column_in(estimates(length=7990), songs[:1])], metrics=["sdr"])
    assert "vocals: 10 samples short, padded with silence" in found.columns["mine"]["test/A - Song"].notes


def test_levels_that_unbraid_changed_are_undone(songs, estimates):
    folder = estimates(gain=0, splits=["test"]) / "test/A - Song"
    files = {stem: {"file": f"{stem}.wav"} for stem in FOUR}
    for stem in FOUR:
        save(folder / f"{stem}.wav", sound(FOUR.index(stem)) / 2, subtype="FLOAT")
    gain = 20 * math.log10(0.5)
    (folder / "unbraid.json").write_text(
        str({"model": "m", "gain_db": gain, "stems": files}).replace("'", '"'), encoding="utf-8"
    )
    found = evaluate(songs[:1], [column_in(folder.parents[1], songs[:1])], metrics=["sdr"])
    assert sdr(found, "m") > 60


def test_a_model_that_cannot_be_loaded_stops_the_work(songs):
    def load(_):
        raise ModelError("damaged")

    with pytest.raises(ModelError):
        evaluate(songs, [Model("m", {}, load)], metrics=["sdr"])


def test_something_unforeseen_is_a_failure_of_its_song_alone(songs, load, monkeypatch):
    column = load.column()
    stems = column.stems

    def odd(song):
        if song.track.split == "test":
            raise ValueError("odd")
        return stems(song)

    monkeypatch.setattr(column, "stems", odd)
    found = evaluate(songs, [column], metrics=["sdr"])
    assert list(found.columns["shares"]) == ["train/A - Song"]
    assert "this is a bug: ValueError: odd" in found.failures[0].sentence


def test_several_processes_give_what_one_gives(songs, estimates):
    column = column_in(estimates(), songs)
    alone, side_by_side = (evaluate(songs, [column], jobs=jobs) for jobs in (1, 2))
    for key, scores in alone.columns["mine"].items():
        others = side_by_side.columns["mine"][key].stems
        for stem, numbers in scores.stems.items():
            for measure in alone.measures:
                assert others[stem].value(measure) == pytest.approx(numbers.value(measure), abs=1e-9)
    assert list(side_by_side.columns["mine"]) == list(alone.columns["mine"])


def test_separated_stems_can_be_kept(songs, load, tmp_path):
    evaluate(songs[:1], [load.column(keep=tmp_path / "kept")], metrics=["sdr"])
    kept = sorted(path.name for path in (tmp_path / "kept/shares/test/A - Song").iterdir())
    assert kept == ["bass.wav", "drums.wav", "other.wav", "vocals.wav"]
    found = evaluate(songs[:1], [column_in(tmp_path / "kept", songs[:1]), load.column()], metrics=["sdr"])
    assert sdr(found, "kept") == sdr(found, "shares")


def test_events_name_model_and_song(songs, load):
    events = []
    evaluate(songs[:1], [load.column(listener=events.append)], metrics=["sdr"], listener=events.append)
    assert {event.name for event in events if event.stage is Stage.SEPARATE} == {"shares, A - Song"}
    assert [(event.done, event.total) for event in events if event.stage is Stage.SCORE] == [(0, 1), (1, 1)]


def test_models_are_known_by_their_weights(tmp_path):
    one, three = model("htdemucs"), model("htdemucs_ft")
    assert len(one.made(None)["weights"]["htdemucs"]) == 64
    assert set(three.made(None)["weights"]) == {f"htdemucs_ft.{stem}" for stem in FOUR}
    (tmp_path / "my.th").write_bytes(b"weights")
    assert model(str(tmp_path / "my.th")).made(None)["weights"]["my"][:2] == ["my.th", 7]
    with pytest.raises(ModelError, match="did you mean htdemucs"):
        model("htdemucz")


def test_nothing_and_names_that_stand_twice_are_refused(songs, load):
    with pytest.raises(UsageError, match="nothing to score"):
        evaluate(songs, [])
    with pytest.raises(UsageError, match="two rows would be called 'shares'"):
        evaluate(songs, [load.column(), load.column()])
    with pytest.raises(UsageError, match="did you mean irm2 or irm1"):
        Oracle("irm")


@pytest.mark.parametrize("change", [{"sources": "four"}, {"start_seconds": 0.1}, {"duration_seconds": 0.5}])
def test_scores_that_are_there_already_are_of_whole_songs_and_own_stems(songs, load, tmp_path, change):
    evaluate(songs[:1], [load.column("m")], metrics=["sdr"], out=tmp_path / "whole")
    evaluate(songs[:1], [load.column("m")], metrics=["sdr"], out=tmp_path / "other", **change)
    whole, other = (column_in(tmp_path / name / "m", songs[:1]) for name in ("whole", "other"))
    assert not evaluate(songs[:1], [whole], metrics=["sdr"]).failures
    with pytest.raises(UsageError, match="holds scores of whole songs"):
        evaluate(songs[:1], [whole], metrics=["sdr"], **change)
    (failure,) = evaluate(songs[:1], [other], metrics=["sdr"]).failures
    assert "holds scores of a part of the song, or of sums" in failure.sentence


def test_songs_that_are_silent_in_a_stem_have_no_number_there(songs, load):
    instrumental = replace(songs[0], sources={**songs[0].sources, "vocals": ()})
    found = evaluate([instrumental], [load.column()])
    scores = found.columns["shares"]["test/A - Song"]
    assert math.isnan(scores.stems["vocals"].value("bsseval_sdr"))
    assert math.isfinite(scores.stems["drums"].value("bsseval_sdr"))
    assert "vocals: silent in truth, left out" in scores.notes
