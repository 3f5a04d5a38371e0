"""Which stems are scored together, and what the table of metrics says of them."""

from __future__ import annotations

import math

import pytest
import torch

from signals import antiphase, noise, silence
from unbraid.errors import UsageError
from unbraid.evaluation.scoring import MEASURES, METRICS, Metric, scenes, score
from unbraid.metrics.bsseval import bsseval
from unbraid.metrics.ratios import sdr

RATE = 8000
TRUE = {"vocals": noise(2 * RATE, seed=1), "drums": noise(2 * RATE, seed=2), "other": noise(2 * RATE, seed=3)}
MIXTURE = sum(TRUE.values())
GUESS = {stem: true + noise(2 * RATE, gain=0.01, seed=4) for stem, true in TRUE.items()}


def scored(true, guess, *metrics):
    return score(true, guess, MIXTURE, RATE, metrics)


def test_every_measure_of_every_metric_is_described_and_no_other():
    assert [measure for metric in METRICS.values() for measure in metric.measures] == list(MEASURES)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_prefers_the_better_estimate(name):
    worse = {stem: true + noise(2 * RATE, gain=0.05, seed=4) for stem, true in TRUE.items()}
    good, bad = scored(TRUE, GUESS, name), scored(TRUE, worse, name)
    measure = METRICS[name].measures[0]
    sign = -1 if MEASURES[measure].lower_is_better else 1
    assert all(sign * good[stem].value(measure) > sign * bad[stem].value(measure) for stem in TRUE)


def test_frames_and_values_are_those_of_the_metrics_themselves():
    found = scored(TRUE, GUESS, "bsseval", "sdr")
    frames = bsseval(*(torch.stack(list(held.values())) for held in (TRUE, GUESS)), RATE)
    for at, stem in enumerate(TRUE):
        assert found[stem].frames["bsseval_sir"] == tuple(frames.sir[at].tolist())
        assert found[stem].values == {"sdr": sdr(TRUE[stem], GUESS[stem]).item()}
        assert found[stem].value("bsseval_sdr") == pytest.approx(frames.sdr[at].mean().item())


def test_true_stems_that_are_one_tensor_are_scored_without_a_copy_whatever_their_order(monkeypatch):
    seen = []

    def look(scene):
        seen.append(scene.references)
        return METRICS["sdr"].score(scene)

    monkeypatch.setitem(METRICS, "snr", Metric(look, ("sdr",)))
    whole = torch.stack([TRUE[stem] for stem in sorted(TRUE)])
    views = dict(zip(sorted(TRUE), whole, strict=True))
    assert scored(views, GUESS, "snr") == scored(TRUE, GUESS, "sdr")
    assert seen[0].data_ptr() == whole.data_ptr()
    torch.testing.assert_close(seen[0], whole)


def test_a_stem_that_is_silent_in_truth_has_no_number_and_the_others_are_scored_without_it():
    true = {**TRUE, "drums": silence(2 * RATE)}
    found = scored(true, GUESS, "bsseval", "sdr", "log_wmse")
    without = scored(*({s: held[s] for s in ("vocals", "other")} for held in (TRUE, GUESS)), "bsseval")
    assert math.isnan(found["drums"].value("bsseval_sdr"))
    assert math.isnan(found["drums"].value("sdr"))
    assert math.isfinite(found["drums"].value("log_wmse"))  # which is defined for silence
    for stem in without:
        assert found[stem].frames == without[stem].frames


def test_a_song_of_nothing_but_silence_has_no_numbers():
    nothing = dict.fromkeys(TRUE, silence(2 * RATE))
    found = scored(nothing, GUESS, "bsseval")
    assert all(math.isnan(found[stem].value("bsseval_sdr")) for stem in TRUE)


def test_a_silent_estimate_has_a_global_ratio_but_none_of_bsseval():
    found = scored(TRUE, {**GUESS, "vocals": silence(2 * RATE)}, "bsseval", "sdr")
    assert math.isnan(found["vocals"].value("bsseval_sdr"))
    assert found["vocals"].value("sdr") == pytest.approx(0, abs=1e-6)
    assert math.isfinite(found["drums"].value("bsseval_sdr"))


def test_a_stem_whose_channels_cancel_is_silent_where_museval_is_followed_and_nowhere_else():
    true = {**TRUE, "drums": antiphase(2 * RATE)}
    ours = scored(true, GUESS, "bsseval")
    theirs = score(true, GUESS, MIXTURE, RATE, ["bsseval"], silence="museval")
    without = scored(*({s: held[s] for s in ("vocals", "other")} for held in (true, GUESS)), "bsseval")
    assert math.isfinite(ours["drums"].value("bsseval_sdr"))
    assert math.isnan(theirs["drums"].value("bsseval_sdr"))
    assert {stem: theirs[stem].frames for stem in without} == {s: held.frames for s, held in without.items()}


def test_one_stem_alone_has_nothing_that_could_bleed():
    found = scored(TRUE, {"vocals": GUESS["vocals"]}, "bsseval")["vocals"]
    assert math.isfinite(found.value("bsseval_sdr"))
    assert math.isnan(found.value("bsseval_sir"))
    assert math.isnan(found.value("bsseval_sar"))


def test_everything_but_a_stem_is_scored_beside_that_stem_alone():
    rest = TRUE["drums"] + TRUE["other"]
    true, guess = {**TRUE, "accompaniment": rest}, {**GUESS, "accompaniment": rest + 0.01 * MIXTURE}
    found = scored(true, guess, "bsseval")
    pair = scored(*({s: h[s] for s in ("vocals", "accompaniment")} for h in (true, guess)), "bsseval")
    assert found["accompaniment"] == pair["accompaniment"]
    assert found["vocals"] == scored(TRUE, GUESS, "bsseval")["vocals"]
    assert found["vocals"].frames["bsseval_sdr"] == pytest.approx(pair["vocals"].frames["bsseval_sdr"])
    assert found["vocals"].frames["bsseval_sir"] != pytest.approx(
        pair["vocals"].frames["bsseval_sir"], abs=0.1
    )


@pytest.mark.parametrize(
    ("stems", "together"),
    [
        (("vocals", "drums"), [("vocals", "drums")]),
        (("drums", "no_drums"), [("drums", "no_drums")]),
        (("accompaniment",), [("accompaniment",)]),
        (("drums", "accompaniment"), [("drums",), ("accompaniment",)]),
    ],
)
def test_scenes_hold_each_sound_once(stems, together):
    assert [scene for scene, _ in scenes(stems)] == together
    assert [stem for _, wanted in scenes(stems) for stem in wanted] == list(stems)


@pytest.mark.parametrize("names", [("sdt",), (), ("sdr", "sdr")])
def test_other_metrics_are_refused(names):
    with pytest.raises(UsageError, match="there are bsseval, sdr"):
        scored(TRUE, GUESS, *names)
