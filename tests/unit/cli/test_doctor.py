from __future__ import annotations

import importlib
import shutil

import pytest

from unbraid.cli import checkup
from unbraid.io.formats import FORMATS


def checks_of(ended):
    return {check["name"]: check for check in ended.lines[0]["checks"]}


def test_a_sound_machine_passes_and_every_question_is_answered(run):
    ended = run("doctor", "--json")
    checks = checks_of(ended)
    assert (ended.code, ended.lines[0]["ok"]) == (0, True)
    for name in (
        "python",
        "memory",
        "torch",
        "device cuda",
        "device mps",
        "disk for weights",
        "npm",
        "internet",
    ):
        assert checks[name]["found"]
    assert {f"format {name}" for name in FORMATS} <= set(checks)
    assert checks["internet"]["found"] == "not tried"


def test_people_read_the_same_checks(run):
    said = run("doctor").out
    for name in checks_of(run("doctor", "--json")):
        assert f" {name} " in said


@pytest.mark.parametrize("error", [ImportError("no such module"), OSError("libtorch.so is missing")])
def test_a_broken_package_ends_with_five_and_what_to_install(run, monkeypatch, error):
    import_module = importlib.import_module

    def fails(name, *rest):
        if name == "soxr":
            raise error
        return import_module(name, *rest)

    monkeypatch.setattr(checkup.importlib, "import_module", fails)
    ended = run("doctor", "--json")
    assert (ended.code, ended.lines[0]["ok"]) == (5, False)
    assert "pip install --force-reinstall soxr" in ended.err


def test_a_folder_that_cannot_be_written_to_ends_with_five(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ended = run("doctor", "--out", "file/stems")
    assert ended.code == 5
    assert "choose another folder" in ended.err


def test_a_graphics_card_without_the_right_torch_is_advised_about(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", None)
    state, found, advice = checkup._cuda()
    assert (state, advice) == (checkup.State.NOTE, "install torch built with CUDA")
    assert "without CUDA" in found


def test_a_container_has_the_memory_it_was_given(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("2000000000\n")
    monkeypatch.setattr(checkup, "CGROUP_LIMIT", limit)
    check = checkup._memory()
    assert check.found.endswith("of 2.0 GB")
    assert check.advice == "close other programs"


def test_the_checkup_leaves_nothing_behind(run, tmp_path):
    run("doctor")
    assert list(tmp_path.iterdir()) == []
