"""Scores are compared where they may be, and a pick can be explained."""

from __future__ import annotations

import dataclasses

import pytest

from unbraid.errors import UnknownModelError, UsageError
from unbraid.zoo import best as module
from unbraid.zoo import catalog
from unbraid.zoo.best import BUDGETS, best, cost_of, is_under
from unbraid.zoo.checkpoint import Score
from unbraid.zoo.tasks import all_sources, task


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("source", ["vocals", "accompaniment", "drums", "bass"])
def test_the_pick_has_the_highest_score_of_its_kind_and_its_cost_is_allowed(source, budget):
    choice = best(source, budget=budget)
    assert choice.candidate.cost <= BUDGETS[budget]
    assert choice.score is not None
    assert all(value <= choice.value for _, value in choice.others)
    for other, value in choice.others:
        (score,) = [
            score
            for score in other.scores
            if (score.metric, score.dataset) == (choice.score.metric, choice.score.dataset)
        ][:1]
        assert score.values[other.source] == value


def test_a_larger_budget_never_compares_fewer():
    found = [best("vocals", budget=budget) for budget in BUDGETS]
    compared = [1 + len(choice.others) + len(choice.uncompared) for choice in found]
    assert compared == sorted(compared)
    assert [choice.dearer for choice in found] == sorted((choice.dearer for choice in found), reverse=True)
    assert found[-1].dearer == 0


def test_scores_of_another_metric_or_other_songs_are_not_compared(monkeypatch):
    def scored(name, metric, dataset, value):
        score = Score(metric, dataset, "us", {"vocals": value})
        return dataclasses.replace(catalog.card("bs.viperx_1297"), name=name, aliases=(), scores=(score,))

    cards = [
        scored("low", "SDR", "songs", 1.0),
        scored("high", "SDR", "songs", 2.0),
        scored("other songs", "SDR", "easier songs", 9.0),
        scored("other metric", "SI-SDR", "songs", 9.0),
    ]
    monkeypatch.setattr(catalog, "cards", lambda: tuple(cards))
    monkeypatch.setattr(module, "list_ensembles", lambda: ())
    monkeypatch.setattr(module, "cost_of", lambda _name: 1.0)
    choice = best("vocals")
    assert (choice.candidate.name, choice.value) == ("high", 2.0)
    assert [other.name for other, _ in choice.others] == ["low"]
    assert set(choice.uncompared) == {"other songs", "other metric"}


@pytest.mark.parametrize("source", ["vocals", "drums", "bass"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_musdb18_that_ends_at_16_khz_counts_only_where_nothing_else_does(source, budget):
    choice = best(source, budget=budget)
    assert choice.score is not None
    assert not choice.score.dataset.startswith("MUSDB18 ")


def test_without_scores_the_short_list_decides():
    choice = best("male", budget="best")
    assert choice.candidate.name == "bs.male_female"
    assert choice.score is None
    assert choice.candidate.common


def test_a_licence_and_a_task_narrow_the_choice():
    assert best("vocals", licence="MIT").candidate.licences == ("MIT",)
    assert "not stated" not in best("vocals", licence="stated", budget="best").candidate.licences
    choice = best("accompaniment", task=task("karaoke"), budget="best")
    assert "lead_vocals" in catalog.card(choice.candidate.name).sources


def test_licences_are_compared_by_name_whatever_their_case():
    assert is_under(("MIT", "Apache-2.0"), "apache-2.0,mit")
    assert not is_under(("MIT", "not stated"), "mit")


def test_of_an_ensemble_only_the_networks_that_are_needed_cost():
    (vocals,) = [c for c in module._candidates(None) if (c.name, c.source) == ("htdemucs_ft", "vocals")]
    assert vocals.cost == cost_of("htdemucs_ft.vocals")


@pytest.mark.parametrize("source", all_sources())
def test_there_is_a_best_for_every_source_that_can_be_fetched(source):
    makers = [card for card in catalog.cards() if source in card.sources and card.has_weights]
    if any(not card.is_by_hand and not card.member for card in makers):
        assert best(source, budget="best").candidate.source in {source, "effects", "sfx"}


def test_what_cannot_be_had_is_said():
    with pytest.raises(UnknownModelError, match="no model makes 'kazoo'"):
        best("kazoo")
    with pytest.raises(UnknownModelError, match="is so cheap; the cheapest costs"):
        best("restored", budget="fast")
    with pytest.raises(UsageError, match="no budget is called 'tiny'"):
        best("vocals", budget="tiny")


def test_every_model_that_can_be_picked_has_been_counted():
    uncounted = [card.name for card in catalog.cards() if card.has_weights and cost_of(card.name) is None]
    assert uncounted == []


@pytest.mark.parametrize("name", ["htdemucs", "wave_u_net.m4", "mel.zf_small"])
def test_costs_are_what_the_network_multiplies(name):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from unbraid.zoo.package import skeleton

    card = catalog.card(name)
    network = skeleton(card.architecture, card.config).eval()
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, network.spec.channels, network.spec.segment))
    seconds = network.spec.segment / network.spec.sample_rate
    assert module._costs()[name] == pytest.approx(counter.get_total_flops() / 2e9 / seconds, rel=0.01)
