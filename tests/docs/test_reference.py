"""The reference and the tables agree with the code, both ways."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

import unbraid
from unbraid import errors
from unbraid.cli.outcome import Outcome
from unbraid.errors import AudioError, UsageError
from unbraid.io.formats import FORMATS
from unbraid.io.naming import expand

LINK = re.compile(r"\]\(([^)\s]+)\)")
REFERENCE = "docs/reference/python.md"


def first_cells(rows):
    """The first column, without the marks of code."""
    return [row[0].strip("`") for row in rows]


def objects(root, page):
    """What a page documents."""
    return re.findall(r"^::: ([\w.]+)$", (root / page).read_text(encoding="utf-8"), re.MULTILINE)


def errors_below(kind):
    """An error's class and all that derive from it in the library."""
    return {kind, *(found for child in kind.__subclasses__() for found in errors_below(child))}


def options_of_demucs():
    """Every option its command line takes, from its source: it cannot be imported without decoders."""
    folder = Path(importlib.util.find_spec("demucs").origin).parent
    trees = [
        ast.parse((folder / name).read_text(encoding="utf-8")) for name in ("separate.py", "pretrained.py")
    ]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    words = [
        word.value
        for call in calls
        if getattr(call.func, "attr", "") == "add_argument"
        for word in call.args
        if isinstance(word, ast.Constant)
    ]
    return {word for word in words if word.startswith("-")}


def test_the_reference_and_the_public_names_agree(root):
    documented = {name.removeprefix("unbraid.") for name in objects(root, REFERENCE) if name.count(".") == 1}
    assert documented | {"__version__"} == set(unbraid.__all__)


def test_everything_documented_exists(root):
    for name in objects(root, REFERENCE):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_drawn_block_is_up_to_date(report, root):
    outdated = [str(page.relative_to(root)) for page in report.stale()]
    assert not outdated, "run: python benchmarks/report.py"


def test_the_script_that_draws_notices_a_change(report):
    page = "<!-- drawn: formats -->\nold\n<!-- end -->\n"
    drawn = report.redrawn(page)
    assert "`flac`" in drawn
    assert "old" not in drawn
    assert report.redrawn(drawn) == drawn


def test_figures_take_whatever_rows_there_are(report, monkeypatch):
    benchmark = {**report.stored("memory"), "results": [{"minutes": 180.0, "peak_mb": 1.25, "rtf": 0.5}]}
    monkeypatch.setattr(report, "stored", lambda _: benchmark)
    assert "| 180 minutes | 1.2 MB | 0.50 |" in report.memory()


def test_a_peer_stands_beside_us_with_medians_and_the_range_of_the_pairs(report, monkeypatch, tmp_path):
    pairs = [
        {"unbraid": {"seconds": ours, "peak_mb": 900.0}, "peer": {"seconds": 30.0, "peak_mb": 1800.0}}
        for ours in (10.0, 15.0, 20.0)
    ]
    row = {
        "case": "umxhq",
        "peer": "openunmix 1.3.0",
        "weights": "seeded",
        "song": "lithium",
        "song_seconds": 40.0,
        "threads": 2,
        "options": ["--overlap", "0.1"],
        "pairs": pairs,
        "times_faster": {"median": 2.0, "least": 1.5, "greatest": 3.0},
        "snr_db": {"vocals": 120.0, "bass": 110.0},
    }
    memory = report.stored("memory")
    other = {**memory, "machine": {**memory["machine"], "processor": "another"}, "results": [row]}
    rows = [row, {**row, "case": "plain", "snr_db": None}]
    benchmark = {**memory, "results": rows, "elsewhere": [other]}
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    assert "benchmarks/peers.py" in report.peers()
    (tmp_path / "peers.json").write_text(json.dumps(benchmark))
    drawn = report.peers()
    first, second = drawn.splitlines()[2:4]
    cells = "| seeded | lithium, 40 s | 2 | 15 / 30 s | 900 / 1800 MB | 2.00 (1.50 to 3.00) |"
    assert first == f"| `umxhq` `--overlap` `0.1` | openunmix 1.3.0 {cells} 110 dB |"
    assert second.endswith("| – |")
    assert drawn.count("times faster") == 2
    assert "on another, " in drawn


def test_a_machines_folders_stay_out_of_the_pages(report, page):
    benchmark = {**report.stored("parity"), "command": "python benchmarks/parity.py /home/someone/songs"}
    assert "`python benchmarks/parity.py songs`" in report.origin(benchmark)
    assert not re.search(r"(^|[\s`(])/(work|tmp|root|home)/", page.read_text(encoding="utf-8"))


def test_the_table_of_formats_is_that_of_the_code(rows):
    found = {row[0].strip("`"): row for row in rows("docs/reference/files.md", "## What is written")[1:]}
    assert list(found) == list(FORMATS)
    for name, kind in FORMATS.items():
        assert found[name][3] == f"{kind.channels:,}"
        assert ("lossy" in found[name][1]) == (kind.bitrates is not None)


def test_the_table_of_exit_codes_is_that_of_the_errors(rows):
    table = rows("docs/reference/exit-codes.md")[2:]
    codes = {name.strip("`"): int(code) for code, name, _ in table}
    assert codes == {name: getattr(errors, name).exit_code for name in codes}
    assert set(codes.values()) == {kind.exit_code for kind in errors_below(errors.UnbraidError)}


def test_the_tree_of_errors_holds_every_error(root):
    text = (root / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    ours = {kind.__name__ for kind in errors_below(errors.UnbraidError) if kind.__module__ == errors.__name__}
    assert ours <= set(re.findall(r"\w+", text.split("```text")[1].split("```")[0]))


def test_the_table_of_placeholders_is_what_a_template_takes(rows):
    names = first_cells(rows("docs/reference/files.md", "## Names of stems")[1:])
    with pytest.raises(UsageError) as refusal:
        expand("{nothing}", model="m", track="t", stem="s", ext="e")
    assert names == re.findall(r"\{\w+\}", str(refusal.value).split("there are")[1])


@pytest.mark.usefixtures("quick_network")
def test_the_fields_of_sidecar_and_json_are_those_of_the_reference(rows, workplace):
    with unbraid.Separator() as separator:
        separation = separator.to_files(workplace / "song.flac")
    page = "docs/reference/files.md"
    sidecar = json.loads(separation.sidecar.read_text(encoding="utf-8"))
    assert first_cells(rows(page, "## The sidecar")[1:]) == list(sidecar)
    fields = [name for name in first_cells(rows(page, "## Lines of JSON")) if name != "field"]
    done = Outcome(separation.input, separation=separation).to_json()
    failed = Outcome(separation.input, error=AudioError("")).to_json()
    assert fields == list({**done, **failed})


@pytest.mark.reference
def test_every_option_of_demucs_has_a_row(rows):
    told = {name for row in rows("docs/how-to/from-demucs.md") for name in re.findall(r"`(-[-\w]+)`", row[0])}
    assert told == options_of_demucs()


def test_every_link_to_a_file_leads_somewhere(page):
    links = [link.split("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
    missing = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_picture_is_small_enough_for_a_page(root):
    assert 0 < (root / "docs/images/stems.png").stat().st_size < 400_000
