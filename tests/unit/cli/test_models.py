from __future__ import annotations

from pathlib import Path

import pytest

from unbraid.errors import WeightsError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache
from unbraid.zoo.catalog import card, cards, list_models


@pytest.fixture
def stored(tmp_path):
    """Put a file where a model's weights are looked for."""

    def stored(name="htdemucs"):
        path = cache.path_of(name, cache=tmp_path / "cache")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        return path

    return stored


def test_the_table_names_each_model_and_what_one_must_know(run, stored):
    said = run("models").out
    for name in list_models():
        known, row = card(name), next(line for line in said.splitlines() if line.startswith(name))
        assert row.split()[0] == name
        assert f"  {', '.join(known.sources)}  " in row
        assert f"  {known.licence}  " in row
        assert row.endswith("  no")
        assert f"{name}: trained on {known.training_data}; test data seen: {known.contamination}" in said
        for source, value in known.scores[0].values.items():
            assert f"{source} {value:.2f}" in row
        assert f"(a) {known.scores[0].metric}; {known.scores[0].dataset}" in said
    stored()
    assert any(line.endswith("  yes") for line in run("models").out.splitlines())


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--help"]])
def test_no_commands_first_line_is_cut_on_a_usual_terminal(run, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    said = run(*arguments).out
    assert "..." not in said.split("Commands:")[1].split("Examples:")[0]


def test_json_holds_the_whole_card(run, stored):
    stored()
    lines = {line["name"]: line for line in run("models", "--json").lines}
    assert tuple(lines) == list_models()
    for known in cards():
        line = lines[known.name]
        assert (line["parameters"], line["licence"]) == (known.parameters, known.licence)
        assert line["scores"][0]["values"] == known.scores[0].values
        assert Path(line["path"]) == cache.path_of(known)
    assert lines["htdemucs"]["on_disk"]


def test_show_says_licence_note_paper_and_every_score(run):
    said, known = run("models", "show", "htdemucs").out, card("htdemucs")
    for words in (
        known.description,
        known.licence_note,
        known.citation,
        *(score.origin for score in known.scores),
    ):
        assert words in said


def test_path_is_all_there_is_on_stdout(run, stored):
    ended = run("models", "path", "htdemucs")
    assert ended.out == f"{cache.path_of('htdemucs')}\n"
    assert "models pull htdemucs" in ended.err
    stored()
    assert not run("models", "path", "htdemucs").err


def test_pull_fetches_each_card_with_progress(run, monkeypatch, tmp_path):
    fetched = []

    def fetch(checkpoint, *, folder, offline, listener, cancel):
        reporter = Reporter(Stage.FETCH, checkpoint.name, checkpoint.bytes, listener, cancel)
        reporter.advance(checkpoint.bytes)
        fetched.append((checkpoint.name, folder, offline))
        return tmp_path / checkpoint.name

    monkeypatch.setattr("unbraid.zoo.download.fetch", fetch)
    ended = run("models", "pull", "htdemucs", "--offline", "--weights-folder", "mine")
    assert fetched == [("htdemucs", Path("mine"), True)]
    assert ended.err.splitlines() == ["htdemucs: fetching", f"htdemucs is in {tmp_path / 'htdemucs'}"]
    assert not run("models", "pull", "-q", "htdemucs").err


def test_pull_offers_the_near_miss(run):
    ended = run("models", "pull", "htdemuc")
    assert ended.code == 4
    assert "did you mean htdemucs" in ended.err


def test_verify_says_of_each_model_whether_it_is_sound(run, stored, monkeypatch):
    nothing = run("models", "verify")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no model is on disk; 'unbraid models pull" in nothing.err
    path = stored()
    monkeypatch.setattr("unbraid.zoo.cache.verify", lambda _: path)
    assert run("models", "verify").out == f"htdemucs: sound, {path}\n"

    def damaged(_):
        raise WeightsError("not the weights of its card")

    monkeypatch.setattr("unbraid.zoo.cache.verify", damaged)
    ended = run("models", "verify", "htdemucs")
    assert (ended.code, ended.out) == (4, "htdemucs: not sound\n")
    assert "not the weights of its card" in ended.err


def test_prune_removes_only_what_a_dry_run_names(run, stored):
    kept = stored()
    partial = kept.with_name(f"{'0' * 64}.part")
    partial.write_bytes(bytes(1500))
    dry = run("models", "prune", "--dry-run")
    assert partial.exists()
    assert "1.5 kB would be freed" in dry.err
    assert run("models", "prune").out == dry.out == f"{partial}\n"
    assert (partial.exists(), kept.exists()) == (False, True)
