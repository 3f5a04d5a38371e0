from __future__ import annotations

import re
from pathlib import Path

import pytest

from unbraid.errors import WeightsError
from unbraid.progress import Reporter, Stage
from unbraid.zoo import cache, catalog, pins
from unbraid.zoo.best import best
from unbraid.zoo.catalog import card, cards, families, list_models
from unbraid.zoo.chains import list_presets
from unbraid.zoo.ensembles import ensemble_for, list_ensembles
from unbraid.zoo.tasks import TASKS, for_task, task


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
    shown = [known for known in cards() if arguments or known.common]
    assert set(rows) == {*(known.name for known in shown), *list_ensembles(), *list_presets()}
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
            letter = score.rsplit(" ", 1)[1]
            assert f"{letter} {known.scores[0].metric}; {known.scores[0].dataset}" in said


def test_the_notes_stay_shorter_than_the_table_and_say_how_to_see_the_rest(run):
    said = run("models")
    assert len(said.out.splitlines()) < 2 * len(rows_of(said.out))
    assert len(said.out.splitlines()) < 110
    assert f"{len(cards()) - sum(known.common for known in cards())} more" in said.err
    assert "unbraid models --all" in said.err
    assert "--all" not in run("models", "--all").err


def titles_of(said):
    return [line[:-1] for line in said.splitlines() if line.endswith(":")]


def test_the_short_list_is_by_task_and_the_whole_one_by_family_the_youngest_first(run):
    assert titles_of(run("models", "--all").out) == [*families(), "Ensembles", "Presets"]
    short = titles_of(run("models").out)
    tasks = [task.title for task in TASKS]
    assert short[-2:] == ["Ensembles", "Presets"]
    assert short[:-2] == sorted(short[:-2], key=tasks.index)
    assert {"Vocals and accompaniment", "Lead voice and backing vocals", "Without noise"} < {*short}


@pytest.mark.parametrize(
    "words", [["karaoke"], ["find", "karaoke"], ["--task", "karaoke"], ["lead", "vocals"]]
)
def test_models_are_found_by_what_they_are_for(run, words):
    said = run("models", *words).out
    found = [line.split()[0] for line in said.splitlines()[1:] if not line.startswith("(")]
    names = {known.name for known in for_task(task("karaoke"))}
    assert names == {name.rstrip(":") for name in found}
    assert f"mel.karaoke: {card('mel.karaoke').description}" in said


def test_models_are_found_by_author_and_word(run):
    said = run("models", "gabox", "instrumental").out
    assert "mel.gabox_inst_7n" in said
    assert "mel.gabox_voc" not in said


def test_what_is_found_can_be_narrowed_to_licences_and_be_json(run):
    lines = run("models", "--task", "stems", "--licence", "mit", "--json").lines
    assert lines
    assert {line["licence"] for line in lines} == {"MIT"}
    assert all("stems" in line["tasks"] for line in lines)
    ended = run("models", "--task", "duet", "--licence", "MIT")
    assert ended.code == 4
    assert "none of these is under MIT; they are under not stated" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["models", "karoake"], 4, "did you mean karaoke"),
        (["models", "shwo"], 4, "did you mean show"),
        (["models", "--task", "derverb"], 2, "did you mean dereverb"),
        (["models", "--best", "kazoo"], 4, "no model makes 'kazoo'"),
        (["models", "--best", "vocals", "--budget", "huge"], 2, "'huge' is not one of"),
        (["models", "--best", "male", "--licence", "MIT"], 4, "has the licence MIT; theirs are not stated"),
    ],
)
def test_what_is_not_found_is_answered_with_what_would_be(run, arguments, code, words):
    ended = run(*arguments)
    assert ended.code == code
    assert words in ended.err


def test_the_best_is_a_name_on_stdout_and_its_reasons_on_stderr(run):
    ended = run("models", "--best", "instrumental", "--budget", "balanced")
    name = ended.out.strip()
    choice = best("accompaniment", budget="balanced")
    assert name == choice.candidate.name
    for words in (
        f"accompaniment {choice.value:.2f}: {choice.score.metric}; {choice.score.dataset}",
        "times htdemucs",
        "balanced allows at most 16",
        card(name).licence,
        f"{1 + len(choice.others)} were compared",
        "which nobody measured in this way",
    ):
        assert words in ended.err
    (line,) = run("models", "--best", "instrumental", "--json").lines
    assert line["candidate"]["name"] == name


def test_a_pinned_hash_is_shown_and_forgotten(run, tmp_path):
    (tmp_path / "cache").mkdir(exist_ok=True)
    pins.path(cache=tmp_path / "cache").write_text(
        '{"mel.gabox_voc": {"": {"sha256": "abc", "source": "here"}}}', encoding="utf-8"
    )
    assert "pinned SHA-256  abc" in run("models", "show", "mel.gabox_voc").out
    assert run("models", "forget", "mel.gabox_voc").err == "mel.gabox_voc: forgotten\n"
    assert run("models", "forget", "mel.gabox_voc").err == "mel.gabox_voc: nothing was pinned\n"
    assert "pinned" not in run("models", "show", "mel.gabox_voc").out


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
    said = run("models", "show", "e07c671f", "hdemucs.musdb", "x_umx.asteroid").out
    assert "demucs.v2: " in said
    assert "https://dl.fbaipublicfiles.com/demucs/v3.0/demucs-e07c671f.th" in said
    assert "begins with e07c671f, all that its publisher states" in said
    assert "from the file that you gave" in said
    assert "from the file that was fetched first" in said


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
    facts |= {
        "common": True,
        "files": [],
        "parameters": 0,
        "bytes": 0,
        "sample_rate": 44100,
        "licence": "MIT",
    }
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
