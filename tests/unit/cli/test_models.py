from __future__ import annotations

import re
from pathlib import Path

import pytest

from unbraid.errors import WeightsError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache, catalog
from unbraid.zoo.catalog import card, cards, families, list_models
from unbraid.zoo.chains import list_presets
from unbraid.zoo.ensembles import ensemble_for, list_ensembles


@pytest.fixture
def stored(tmp_path):
    """Put a file where a model's weights are looked for."""

    def stored(name="htdemucs"):
        path = cache.path_of(name, cache=tmp_path / "cache")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        return path

    return stored


def rows_of(said):
    """The columns of each indented row, by the name in the first."""
    found = [re.split(r"\s{2,}", line.strip()) for line in said.splitlines() if line.startswith("  ")]
    return {row[0]: row for row in found}


@pytest.mark.parametrize("arguments", [[], ["--all"]])
def test_the_table_names_each_model_and_what_one_must_know(run, arguments):
    said = run("models", *arguments).out
    rows = rows_of(said)
    shown = [known for known in cards() if arguments or not known.member]
    assert list(rows) == [*(known.name for known in shown), *list_ensembles(), *list_presets()]
    for known in shown:
        _, sources, _, _, licence, score, on_disk = rows[known.name]
        assert (sources, licence) == (", ".join(known.sources), known.licence)
        assert on_disk == ("no" if known.has_weights else "needs no weights")
        assert bool(known.scores) == (score != "none published")
        learnt = f"trained on {known.training_data}; test data seen: {known.contamination}"
        told = any(line.endswith(learnt) and known.name in line for line in said.splitlines())
        assert told == known.has_weights
        for source, value in known.scores[0].values.items() if known.scores else ():
            assert f"{source} {value:.2f}" in score
            assert f"{score[-3:]} {known.scores[0].metric}; {known.scores[0].dataset}" in said


def test_the_notes_stay_shorter_than_the_table_and_say_how_to_see_the_rest(run):
    said = run("models")
    assert len(said.out.splitlines()) < 2 * len(rows_of(said.out))
    assert "unbraid models --all" in said.err
    assert "--all" not in run("models", "--all").err


def test_families_have_titles_and_the_youngest_comes_first(run):
    titles = [line[:-1] for line in run("models").out.splitlines() if line.endswith(":")]
    families_shown = [name for name, names in families().items() if not all(card(n).member for n in names)]
    assert titles == [*families_shown, "Ensembles", "Presets"]


def test_the_table_says_what_is_on_disk(run, stored):
    stored()
    stored("htdemucs_ft.drums")
    rows = rows_of(run("models").out)
    assert (rows["htdemucs"][-1], rows["htdemucs_ft"][-1], rows["mdx"][-1]) == ("yes", "1 of 4", "no")
    for source in ("bass", "other", "vocals"):
        stored(f"htdemucs_ft.{source}")
    assert rows_of(run("models").out)["htdemucs_ft"][-1] == "yes"


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--help"]])
def test_no_commands_first_line_is_cut_on_a_usual_terminal(run, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    said = run(*arguments).out
    assert "..." not in said.split("Commands:")[1].split("Examples:")[0]


def test_json_holds_the_whole_card_of_each_model_and_ensemble(run, stored):
    stored()
    lines = {line["name"]: line for line in run("models", "--json").lines}
    assert tuple(lines) == (*list_models(), *list_ensembles())
    for known in cards():
        line = lines[known.name]
        assert (line["parameters"], line["licence"]) == (known.parameters, known.licence)
        assert [score["values"] for score in line["scores"]] == [score.values for score in known.scores]
        assert line["path"] == (str(cache.path_of(known)) if known.has_weights else None)
        assert line["on_disk"] == (known.name == "htdemucs" or not known.has_weights)
    for name in list_ensembles():
        assert lines[name]["sources"] == list(ensemble_for(name).sources)
        assert [member["model"] for member in lines[name]["members"]]
        assert not lines[name]["on_disk"]


def test_show_says_licence_note_paper_and_every_score(run):
    said, known = run("models", "show", "htdemucs").out, card("htdemucs")
    for words in (
        known.description,
        known.licence_note,
        known.citation,
        *(score.origin for score in known.scores),
    ):
        assert words in said


def test_show_says_where_weights_come_from_and_what_vouches_for_them(run):
    said = run("models", "show", "e07c671f", "hdemucs.musdb").out
    assert "demucs.v2: " in said
    assert "https://dl.fbaipublicfiles.com/demucs/v3.0/demucs-e07c671f.th" in said
    assert "begins with e07c671f, all that its publisher states" in said
    assert "from the file that you gave" in said


def test_show_and_path_know_presets(run):
    assert run("models", "show", "karaoke").out == run("presets", "karaoke").out
    wanted = [str(cache.path_of(name)) for name in ("htdemucs_ft.vocals", "uvr_mdx.kara_2")]
    assert run("models", "path", "karaoke").out.splitlines() == wanted


def test_show_says_what_an_ensemble_is_made_of(run):
    said = run("models", "show", "mdx").out
    known = ensemble_for("mdx")
    for words in (known.description, known.citation, "mean of each waveform"):
        assert words in said
    for member in known.members:
        assert f"{member.model}, counts for {', '.join(f'{source} 1' for source in member.counts)}" in said


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
    run("models", "pull", "htdemucs_ft", "f7e0c4bc", "htdemucs")
    sources = ("drums", "bass", "other", "vocals")
    assert [name for name, *_ in fetched] == [*(f"htdemucs_ft.{source}" for source in sources), "htdemucs"]
    fetched.clear()
    ended = run("models", "pull", "htdemucs", "--offline", "--weights-folder", "mine")
    assert fetched == [("htdemucs", Path("mine"), True)]
    assert ended.err.splitlines() == ["htdemucs: fetching", f"htdemucs is in {tmp_path / 'htdemucs'}"]
    assert not run("models", "pull", "-q", "htdemucs").err


def test_pull_explains_how_to_fetch_by_hand_what_no_program_may(run):
    ended = run("models", "pull", "wave_u_net.m6")
    assert ended.code == 4
    for words in ("must be fetched by hand", "models.zip", "full_multi_instrument-134067.index", "folder"):
        assert words in ended.err


@pytest.fixture
def half(monkeypatch):
    """A model without weights in the catalogue."""
    facts = {"architecture": "half", "description": "Half of all.", "config": {}, "sources": ["vocals"]}
    facts |= {"files": [], "parameters": 0, "bytes": 0, "sample_rate": 44100, "licence": "MIT"}
    facts |= dict.fromkeys(("licence_note", "citation", "training_data", "contamination"), "nothing")
    shown = {**catalog._families(), "Without training": {"half": facts}}
    tables = {**catalog._tables(), "half": facts}
    monkeypatch.setattr(catalog, "_families", lambda: shown)
    monkeypatch.setattr(catalog, "_tables", lambda: tables)


@pytest.mark.usefixtures("half")
def test_a_model_that_needs_no_weights_says_so_everywhere(run):
    table = run("models").out
    row = ["half", "vocals", "none", "none", "MIT", "none published", "needs no weights"]
    assert rows_of(table)["half"] == row
    assert "trained on nothing" not in table
    for command in ("pull", "verify", "path"):
        ended = run("models", command, "half")
        assert (ended.code, ended.out, ended.err) == (0, "", "half needs no weights\n")
    assert "needs none" in run("models", "show", "half").out
    (line,) = (line for line in run("models", "--json").lines if line["name"] == "half")
    assert (line["path"], line["on_disk"], line["parameters"]) == (None, True, 0)
    assert "no model is on disk" in run("models", "verify").err
    assert run("models", "prune").out == ""
    assert "half" not in run("doctor").out


def test_path_of_an_ensemble_is_that_of_each_part(run):
    said = run("models", "path", "repro_mdx_a_time_only").out.splitlines()
    assert said == [str(cache.path_of(f"repro_mdx_a.{name}")) for name in ("9a6b4851", "1ef250f1")]


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
    sound = run("models", "verify")
    assert sound.out == f"htdemucs: sound, {path}\n"
    assert sound.err == f"htdemucs: {card('htdemucs').vouched_by}\n"

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
