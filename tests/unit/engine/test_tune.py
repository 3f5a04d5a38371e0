"""Which runtime is fastest is found by trying, and remembered."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
import torch

from fakes import Identity, spec_of
from unbraid.engine import tune
from unbraid.engine.backends import eager
from unbraid.engine.backends.choose import Loaded, candidates
from unbraid.engine.runtime import Engine, Precision, Runtime
from unbraid.errors import MachineError, UsageError

EAGER = Runtime("cpu", engine=Engine.EAGER, precision=Precision.EXACT)
OTHER = dataclasses.replace(EAGER, engine=Engine.OPENVINO)
LOADED = Loaded(torch.nn.Identity(), spec_of(100), 100)


@pytest.fixture
def bench(monkeypatch):
    """Two candidates, of which each takes as long as the table says; remembers which were tried."""
    seconds, tried = {Engine.EAGER: 2.0, Engine.OPENVINO: 1.0}, []

    def make(loaded, runtime):
        tried.append(runtime.engine)
        if isinstance(seconds[runtime.engine], Exception):
            raise seconds[runtime.engine]
        return Identity(loaded.spec)

    monkeypatch.setattr(tune, "backend", make)
    monkeypatch.setattr(tune, "candidates", lambda _, __: ([EAGER, OTHER], {"onnx": "slow"}))
    monkeypatch.setattr(tune, "_timed", lambda *_: seconds[tried[-1]])
    monkeypatch.setattr(tune, "usable_processors", lambda: 1)
    return seconds, tried


def choose(memory, **changes):
    asked = {"name": "htdemucs", "identity": "0123", "memory": memory, **changes}
    return tune.choose(LOADED, Runtime("cpu", engine=Engine.AUTO, precision=Precision.AUTO), **asked)


def test_the_fastest_is_chosen_and_not_tried_again(bench, tmp_path):
    memory = tmp_path / "deep" / "tuning.json"
    assert choose(memory) == tune.Choice(OTHER, 1.0)
    assert choose(memory) == tune.Choice(OTHER, 1.0)
    assert bench[1] == [Engine.EAGER, Engine.OPENVINO]
    (found,) = tune.findings(memory)
    assert found["model"] == "htdemucs"
    assert [trial["seconds"] for trial in found["trials"]] == [2.0, 1.0]
    assert found["passed_over"] == {"onnx": "slow"}
    assert [path.name for path in memory.parent.iterdir()] == ["tuning.json"]


def test_other_weights_are_tried_anew(bench, tmp_path):
    choose(tmp_path / "tuning.json")
    choose(tmp_path / "tuning.json", identity="4567")
    assert len(bench[1]) == 4
    assert len(tune.findings(tmp_path / "tuning.json")) == 2


def test_a_candidate_that_fails_is_passed_over_and_its_reason_kept(bench, tmp_path):
    bench[0][Engine.OPENVINO] = MachineError("cannot")
    assert choose(tmp_path / "tuning.json").runtime == EAGER
    (found,) = tune.findings(tmp_path / "tuning.json")
    assert found["trials"][1] == {
        "engine": "openvino", "precision": "exact", "threads": None, "keep_pages": False,
        "failure": "cannot",
    }  # fmt: skip


def test_when_all_fail_the_first_is_left_to_say_why(bench, tmp_path):
    bench[0].update({engine: MachineError("cannot") for engine in bench[0]})
    assert choose(tmp_path / "tuning.json") == tune.Choice(EAGER)
    assert tune.findings(tmp_path / "tuning.json") == []


def test_a_network_that_nobody_knows_again_is_not_tried(bench, tmp_path):
    assert choose(tmp_path / "tuning.json", identity="") == tune.Choice(EAGER)
    assert choose(None) == tune.Choice(EAGER)
    assert bench[1] == []


@pytest.mark.parametrize("content", ["", "no json", "[]"])
@pytest.mark.usefixtures("bench")
def test_a_damaged_file_is_written_anew(tmp_path, content):
    memory = tmp_path / "tuning.json"
    memory.write_text(content)
    assert choose(memory).runtime == OTHER
    assert len(json.loads(memory.read_text())) == 1


@pytest.mark.parametrize("trials", [None, 1, [{}], [{"engine": "gone"}], [[]]])
def test_an_entry_of_another_time_is_found_again(bench, tmp_path, trials):
    memory = tmp_path / "tuning.json"
    choose(memory)
    (key,) = json.loads(memory.read_text())
    memory.write_text(json.dumps({key: {"model": "htdemucs", "trials": trials}}))
    assert choose(memory).runtime == OTHER
    assert len(bench[1]) == 4


@pytest.mark.usefixtures("bench")
def test_a_listener_hears_of_each_trial(tmp_path):
    heard = []
    choose(tmp_path / "tuning.json", on_try=lambda done, total: heard.append((done, total)))
    assert heard == [(0, 2), (1, 2), (2, 2)]


def test_one_candidate_needs_no_trial(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "candidates", lambda _, __: ([EAGER], {}))
    assert choose(tmp_path / "tuning.json") == tune.Choice(EAGER)
    assert bench[1] == []


def test_where_cores_run_two_threads_the_fastest_is_tried_with_all(bench, tmp_path, monkeypatch):
    seconds, tried = bench
    both = 2 * torch.get_num_threads()
    monkeypatch.setattr(tune, "usable_processors", lambda: both)
    monkeypatch.setattr(tune, "_timed", lambda *_: seconds[tried[-1]] / len(tried))
    found = choose(tmp_path / "tuning.json").runtime
    assert found == dataclasses.replace(OTHER, threads=both)
    assert tried == [Engine.EAGER, Engine.OPENVINO, Engine.OPENVINO]
    assert choose(tmp_path / "tuning.json").runtime == found


@pytest.mark.parametrize(
    ("asked", "able", "expected"),
    [
        (Precision.AUTO, {"avx512_bf16": True}, [Precision.EXACT, Precision.BFLOAT16]),
        (Precision.AUTO, {"avx512_f": True, "avx512_bf16": False}, [Precision.EXACT]),
        (Precision.AUTO, {}, [Precision.EXACT]),
        (Precision.BFLOAT16, {}, [Precision.BFLOAT16]),
    ],
)
def test_pytorch_is_tried_in_half_precision_where_the_processor_has_units_for_it(
    monkeypatch, asked, able, expected
):
    monkeypatch.setattr(eager, "capabilities", lambda: able)
    loaded = dataclasses.replace(LOADED, spec=dataclasses.replace(LOADED.spec, half=True))
    found, _ = candidates(loaded, Runtime("cpu", engine=Engine.EAGER, precision=asked))
    assert [runtime.precision for runtime in found] == expected


@pytest.fixture
def peaks(bench, monkeypatch):
    """The faster candidate takes twice the memory."""
    monkeypatch.setattr(tune, "begin_peak", lambda: True)
    held = {Engine.EAGER: 1_000_000_000, Engine.OPENVINO: 2_000_000_000}
    monkeypatch.setattr(tune, "peak_bytes", lambda: held[bench[1][-1]])
    return bench[1]


def limited(memory, limit, **asked):
    runtime = Runtime("cpu", engine=Engine.AUTO, precision=Precision.AUTO, memory_bytes=limit)
    return tune.choose(LOADED, runtime, **{"name": "htdemucs", "identity": "0123", "memory": memory, **asked})


def test_what_takes_too_much_memory_is_passed_over(peaks, tmp_path):
    memory = tmp_path / "tuning.json"
    assert limited(memory, 2_000_000_000).runtime == OTHER
    assert limited(memory, 1_999_999_999).runtime == EAGER
    assert peaks == [Engine.EAGER, Engine.OPENVINO]  # what was found serves every limit
    with pytest.raises(MachineError, match="htdemucs takes at least 1000 MB here, and 999 MB were allowed"):
        limited(memory, 999_000_000)


@pytest.mark.usefixtures("peaks")
def test_a_limit_of_memory_is_kept_without_a_file(tmp_path):
    assert limited(None, 1_500_000_000).runtime == EAGER
    assert limited(tmp_path / "tuning.json", 1_500_000_000, identity="").runtime == EAGER


@pytest.mark.usefixtures("bench")
def test_where_nobody_tells_the_peak_a_limit_is_refused(monkeypatch):
    monkeypatch.setattr(tune, "begin_peak", lambda: False)
    with pytest.raises(UsageError, match="only Linux tells"):
        limited(None, 1_500_000_000)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a peak begin anew")
def test_a_peak_begins_anew():
    """In a process of its own, whose memory no other test keeps."""
    script = (
        "import torch\n"
        "from unbraid.engine.memory import begin_peak, peak_bytes\n"
        "torch.ones(100_000_000)\n"  # 400 MB, which are let go again
        "before = peak_bytes()\n"
        "assert begin_peak()\n"
        "assert peak_bytes() < before - 200_000_000, (before, peak_bytes())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
