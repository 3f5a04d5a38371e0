"""The published tables are whole and agree with themselves and the models' cards; metrics are never mixed."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import Counter
from typing import get_args

import pytest

from unbraid.data.layouts import LAYOUTS
from unbraid.errors import UsageError
from unbraid.evaluation.published import (
    DATA,
    FOUR,
    MARKS,
    METRICS,
    Metric,
    Row,
    Songs,
    all_rows,
    beside,
    published,
)
from unbraid.zoo.catalog import card, cards
from unbraid.zoo.ensembles import ensemble_for, list_ensembles

HQ = Songs("musdb18hq", "test", 50)
TABLES = sorted({(row.metric, row.data) for row in all_rows()})

# How the models' cards say what the tables have ids for.
METRIC_ON_CARDS = {
    "SDR in dB, BSSEval v4: median over 1-second frames, then over tracks": "bsseval_v4",
    "SDR in dB, of whole songs: mean over songs": "global_sdr_mean",
    "SDR in dB, of whole tracks: mean over tracks": "global_sdr_mean",
    "SDR in dB, of whole recordings: mean over recordings": "global_sdr_mean",
}
DATA_ON_CARDS = {
    "MUSDB18 test, 50 tracks": {"musdb18"},
    # KUIELab-MDX-Net's card says so, too; its paper took the other edition.
    "MUSDB18-HQ test, 50 tracks": {"musdb18hq", "musdb18"},
    "MVSep Multisong, private": {"mvsep_multisong"},
    "DnR test": {"dnr"},
    "DrumSep test, private": {"drumsep"},
}
# LaSAFT's paper does not say of which weights it speaks; one card has the scores of all networks of its size.
NOT_BY_NAME = {"lasaft.large_2020"}


def every_row():
    """One parameter for each row."""
    return pytest.mark.parametrize("row", all_rows(), ids=lambda row: f"{row.model} on {row.data}")


def known_card(name):
    """A model's card, or an ensemble's."""
    return ensemble_for(name) or card(name)


@every_row()
def test_a_row_says_what_where_and_by_whom(row):
    assert row.metric in METRICS
    assert row.data in DATA
    assert row.model
    assert row.source
    assert row.extra_data
    assert set(row.scores) <= set(DATA[row.data].stems)
    assert row.scores or row.mean is not None


@every_row()
def test_scores_are_such_as_models_have(row):
    assert all(0 < score < 17 for score in [*row.scores.values(), row.mean or 1])


@every_row()
def test_a_stated_mean_is_that_of_the_stems_unless_a_remark_says_otherwise(row):
    if row.mean is None or not row.scores:
        return
    tolerance = 0.051 if row.mean == round(row.mean, 1) else 0.0101  # as coarse as it was rounded
    agrees = abs(statistics.fmean(row.scores.values()) - row.mean) < tolerance
    assert agrees != ("The mean of these four" in row.remark)


@pytest.mark.parametrize("data", DATA)
def test_a_stated_mean_is_over_the_stems_of_the_data_set_and_no_others(data):
    row = Row("a", "global_sdr_mean", data, "b", mean=5.0)
    assert row.over(DATA[data].stems[::-1]) == 5.0
    assert row.over(["vocals"]) is row.over(["speech", "music"]) is row.over([]) is None


def test_the_mean_over_stems_that_were_published_is_taken_of_those():
    row = Row("a", "bsseval_v4", "musdb18", "b", {"vocals": 4.0, "drums": 8.0, "bass": 0.0}, mean=5.0)
    assert row.over(["vocals", "drums"]) == 6.0
    assert row.over(["vocals", "other"]) is None


def test_no_row_stands_twice():
    counts = Counter((row.model, row.metric, row.data) for row in all_rows())
    assert max(counts.values()) == 1
    scores = Counter((row.metric, row.data, tuple(row.scores.items())) for row in all_rows() if row.scores)
    assert max(scores.values()) == 1


def test_every_metric_and_data_set_has_rows_and_every_layout_is_known():
    assert {row.metric for row in all_rows()} == set(METRICS) == set(get_args(Metric))
    assert {row.data for row in all_rows()} == set(DATA)
    assert {known.layout for known in DATA.values() if known.layout} <= set(LAYOUTS)


def test_two_editions_are_two_of_the_same_songs():
    for name, known in DATA.items():
        if known.edition:
            other = DATA[known.edition]
            assert (other.edition, other.songs, other.split) == (name, known.songs, known.split)


@every_row()
def test_a_row_of_our_weights_agrees_with_their_card(row):
    if row.unbraid is None:
        return
    known = known_card(row.unbraid)
    assert set(row.scores) <= set(known.sources)
    members = [card(member.model) for member in getattr(known, "members", ())] or [known]
    seen = any("MUSDB18 test: trained on it" in one.contamination for one in members)
    assert row.contaminated == (seen and row.data.startswith("musdb18"))


# Of the community's models, by name and data set: what stands on their cards alone so far.
ON_CARDS_ALONE = {
    ("bandit.plus", "DnR test"),
    ("mdx23c.drum_kit", "DrumSep test, private"),
    *(
        (name, "MVSep Multisong, private")
        for name in (
            "mel.viperx_1143", "mdx23c.4stems", "scnet.small", "scnet.tran", "scnet.large",
            "scnet.large_starrytong", "scnet.xl", "scnet.xl_ihf",
        )
    ),
}  # fmt: skip


def test_every_score_on_a_card_is_in_the_tables():
    """All whose songs are named; the tables that audio-separator tells do not name theirs."""
    ensembles = [ensemble_for(name) for name in list_ensembles()]
    compared = 0
    alone = set()
    for known in [*cards(), *ensembles]:
        for score in known.scores:
            if score.metric not in METRIC_ON_CARDS or score.dataset not in DATA_ON_CARDS:
                unnamed = "audio-separator" in score.origin or "not published" in score.dataset
                assert unnamed or known.name.startswith("wave_u_net")
                continue
            metric, data = METRIC_ON_CARDS[score.metric], DATA_ON_CARDS[score.dataset]
            named = [
                row
                for row in all_rows()
                if row.metric == metric
                and row.data in data
                and {**row.scores, "mean": row.mean}.items() >= score.values.items()
            ]
            if not named and "audio-separator" not in score.origin:
                alone.add((known.name, score.dataset))
            if not named:
                continue
            names = {row.unbraid for row in named}
            family = {known.name, known.name.split(".")[0]}  # htdemucs_ft.vocals is a part of htdemucs_ft
            assert names & family or known.name in NOT_BY_NAME, (known.name, names)
            compared += 1
    assert compared > 40
    assert alone == ON_CARDS_ALONE


@pytest.mark.parametrize(("metric", "data"), TABLES)
def test_a_table_is_of_one_metric_and_one_data_set(metric, data):
    rows = published(metric=metric, data=data, contaminated=True)
    assert {(row.metric, row.data) for row in rows} == {(metric, data)}
    assert len(rows) == sum((row.metric, row.data) == (metric, data) for row in all_rows())


@pytest.mark.parametrize("editions", [False, True])
def test_other_editions_come_only_when_asked_for_and_are_marked(editions):
    found = beside("bsseval_v4", HQ, FOUR, editions=editions)
    marked = {row.data for row in found.rows if "‡" in row.marks("musdb18hq")}
    assert marked == ({"musdb18"} if editions else set())
    assert (MARKS["‡"] in found.note) is editions


def test_contaminated_rows_come_only_when_asked_for_last_and_marked():
    clean = published(metric="bsseval_v4", data="musdb18hq")
    every = published(metric="bsseval_v4", data="musdb18hq", contaminated=True)
    assert every[: len(clean)] == clean
    assert [row.unbraid for row in every[len(clean) :]] == ["mdx_extra_q"]
    assert every[-1].marks("musdb18hq") == "†"
    assert not any(row.contaminated or row.marks("musdb18hq") for row in clean)
    found = beside("bsseval_v4", HQ, FOUR)
    assert found.rows == every
    assert found.note == f"† {MARKS['†']}"


@pytest.mark.parametrize("stems", [("vocals",), ("bass", "drums"), FOUR])
def test_rows_are_ordered_by_what_was_asked_for(stems):
    rows = published(metric="bsseval_v4", data="musdb18hq", stems=stems)
    means = [row.over(stems) for row in rows]
    known = [mean for mean in means if mean is not None]
    assert known == sorted(known, reverse=True)
    assert means[len(known) :] == [None] * (len(means) - len(known))
    assert all(set(row.scores) & set(stems) or row.over(stems) is not None for row in rows)


def test_a_model_without_the_stem_is_not_beside_it():
    rows = published(metric="global_sdr_mean", data="mvsep_multisong", stems=["vocals"])
    assert all("vocals" in row.scores for row in rows)
    assert "BS-RoFormer, other (viperx)" not in [row.model for row in rows]


@pytest.mark.parametrize("ours", ["si_sdr_mean", "bsseval_v4_sir", "sdr"])
def test_another_metric_is_refused_with_both_named_and_the_way_out(ours):
    with pytest.raises(UsageError) as caught:
        beside(ours, HQ, FOUR)
    words = str(caught.value)
    assert f"ours are numbers of {ours}," in words
    assert all(metric in words and METRICS[metric].statistic in words for metric in METRICS)
    assert words.endswith("run with --metrics bsseval or --metrics sdr")


def test_a_metric_that_was_published_on_other_songs_only_is_refused():
    with pytest.raises(UsageError, match=r"on MUSDB18 are of bsseval_v4 .*run with --metrics bsseval$"):
        beside("global_sdr_mean", Songs("musdb18", "test", 50), FOUR)


def test_an_unknown_data_set_is_refused_with_the_near_one():
    with pytest.raises(UsageError, match="did you mean musdb18hq"):
        published(metric="bsseval_v4", data="musdb18_hq")


@pytest.mark.parametrize(
    ("songs", "words"),
    [
        (Songs("stems", "", 5), "no songs of the layout stems have any, those of MUSDB18 and MUSDB18-HQ do"),
        (Songs("moisesdb", "", 240), "no songs of the layout moisesdb"),
        (Songs("musdb18hq", "train", 100), "the 50 songs of test, these are of 100 of train; "),
        (Songs("musdb18hq", "", 150), "these are of 150 of all parts; score all of it with --split test"),
        (Songs("musdb18", "test", 49), "on MUSDB18 is of the 50 songs of test, these are of 49 of test"),
        (Songs("musdb18", "test", 50, whole=False), "of whole songs, these are of parts"),
    ],
)
def test_nothing_stands_beside_other_songs_and_one_sentence_says_why(songs, words):
    for metric in (*METRICS, "si_sdr_mean"):
        found = beside(metric, songs, FOUR)
        assert (found.data, found.rows) == (None, ())
        assert words in found.note
        assert found.note.endswith(".")
        assert ". " not in found.note


def test_stems_that_nobody_published_have_a_sentence():
    found = beside("bsseval_v4", HQ, ["kick", "snare"])
    assert (found.data, found.rows) == ("musdb18hq", ())
    assert found.note == "No scores of kick, snare are published on MUSDB18-HQ."


def test_no_torch_is_needed():
    code = (
        "import sys; from unbraid.evaluation.published import beside, Songs; "
        "beside('bsseval_v4', Songs('musdb18hq', 'test', 50), ['vocals']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
