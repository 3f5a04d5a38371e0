from __future__ import annotations

import pytest

from unbraid.bench import cases as bench_cases
from unbraid.bench.cases import Subject, cases, subjects
from unbraid.errors import UnknownModelError, UsageError, WeightsError
from unbraid.zoo import catalog
from unbraid.zoo.cache import path_of

ONE = (Subject("htdemucs"),)
SEVERAL = {"eager": ("exact", "bfloat16"), "swift": ("exact", "int8")}


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """A machine that has PyTorch alone."""
    monkeypatch.setattr(bench_cases, "backends", lambda: {"eager": ("exact",)})


@pytest.fixture
def several(monkeypatch):
    """A machine that has more than one backend."""
    monkeypatch.setattr(bench_cases, "backends", lambda: SEVERAL)


def put_on_disk(name):
    path = path_of(name)
    path.parent.mkdir(parents=True)
    path.touch()


@pytest.mark.usefixtures("several")
def test_all_quick_ways_that_a_machine_has_are_taken_and_the_reference_comes_first():
    found = cases(ONE, threads=[2])
    expected = [("eager", "exact"), ("swift", "exact"), ("swift", "int8")]
    assert [(case.backend, case.precision) for case in found] == expected
    assert [case.is_reference for case in found] == [True, False, False]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("asked", [{"chosen": ["eager"]}, {"precisions": ["bfloat16"]}])
def test_slow_ways_are_taken_where_they_are_named(asked):
    found = [(case.backend, case.precision) for case in cases(ONE, threads=[2], **asked)]
    assert found == [("eager", "exact"), ("eager", "bfloat16")]


@pytest.mark.usefixtures("several")
def test_the_reference_is_measured_whatever_is_chosen():
    found = cases(ONE, chosen=["swift"], precisions=["int8"], threads=[1])
    assert [(case.backend, case.precision) for case in found] == [("eager", "exact"), ("swift", "int8")]


def test_each_number_of_threads_is_measured_once():
    assert [case.threads for case in cases(ONE, threads=[2, 1, 2])] == [2, 1]


def test_cases_of_one_network_stand_together():
    found = cases([Subject("htdemucs"), Subject("umxhq", untrained=True)], threads=[1, 2])
    assert [str(case.subject) for case in found] == ["htdemucs"] * 2 + ["umxhq (untrained)"] * 2


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"chosen": ["swfit"]}, ["no backend 'swfit'", "swift"]),
        ({"precisions": ["int4"]}, ["no precision 'int4'", "int8"]),
        ({"chosen": ["eager"], "precisions": ["int8"]}, ["no precision 'int8'", "exact", "bfloat16"]),
        ({"threads": [0]}, ["0 threads", "start at 1"]),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(asked, words):
    with pytest.raises(UsageError) as refusal:
        cases(ONE, **{"threads": [1], **asked})
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.usefixtures("cache")
def test_without_names_the_models_that_are_on_disk_are_measured():
    put_on_disk("umxhq")
    assert subjects((), untrained=False) == (Subject("umxhq"),)


@pytest.mark.usefixtures("cache")
def test_untrained_adds_one_model_of_each_architecture_that_is_missing():
    put_on_disk("umxhq")
    trained, *others = subjects((), untrained=True)
    assert trained == Subject("umxhq")
    architectures = [catalog.card(one.model).architecture for one in others]
    with_weights = {card.architecture for card in catalog.cards() if card.has_weights}
    assert all(one.untrained for one in others)
    assert len(architectures) == len(set(architectures))
    assert set(architectures) == with_weights - {"open_unmix"}


@pytest.mark.usefixtures("cache")
def test_a_machine_without_weights_is_told_both_ways_out():
    with pytest.raises(UsageError, match=r"models pull htdemucs.*--untrained"):
        subjects((), untrained=False)


@pytest.mark.usefixtures("cache")
def test_nothing_is_fetched_for_a_model_that_is_named():
    with pytest.raises(WeightsError, match=r"models pull umxhq.*--untrained"):
        subjects(["umxhq"], untrained=False)
    assert subjects(["umxhq"], untrained=True) == (Subject("umxhq", untrained=True),)


@pytest.mark.usefixtures("cache")
def test_a_model_without_weights_needs_none():
    assert subjects(["hpss"], untrained=True) == (Subject("hpss"),)


@pytest.mark.usefixtures("cache")
def test_an_ensemble_names_its_members():
    with pytest.raises(UsageError, match="members are"):
        subjects(["htdemucs_ft"], untrained=False)


@pytest.mark.usefixtures("cache")
def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownModelError, match="htdemucs"):
        subjects(["htdemuks"], untrained=False)


def test_a_checkpoint_is_called_by_its_file(checkpoint):
    (found,) = subjects([str(checkpoint)], untrained=False)
    assert (str(found), found.model) == ("tiny.safetensors", str(checkpoint))
