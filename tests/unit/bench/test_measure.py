from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from unbraid.bench import measure as bench_measure
from unbraid.bench.backends import REFERENCE, backends
from unbraid.bench.cases import Case, Subject
from unbraid.bench.measure import REFERENCE_FILE, measure
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.memory import device_peak_bytes
from unbraid.errors import UnbraidError


class Rounded(EagerBackend):
    """A backend whose answer is off by 40 dB."""

    def run(self, batch, /):
        return 1.01 * super().run(batch)


@pytest.fixture
def case(checkpoint):
    """The tiny network as it is."""
    return Case(Subject(str(checkpoint)), *REFERENCE, threads=1, device="cpu")


@pytest.fixture
def other(case, monkeypatch):
    """The same by a backend that rounds."""
    plain = bench_measure.backend_for

    def backend_for(network, spec, wanted):
        return Rounded(network, spec) if wanted.backend == "rounded" else plain(network, spec, wanted)

    monkeypatch.setattr(bench_measure, "backend_for", backend_for)
    return Case(case.subject, "rounded", "exact", threads=1, device="cpu")


def test_a_case_is_measured_whole(case, tmp_path):
    shares = []
    found = measure(case, tmp_path, most_seconds=0.01, on_progress=shares.append)
    assert (found.device, found.parameters, found.segment_seconds, found.stride_seconds) == (
        "cpu",
        317_856,
        1.0,
        0.75,
    )
    assert found.rtf == found.run_seconds / 0.75
    assert found.runs == len(shares) >= 3
    assert min(found.load_seconds, found.first_use_seconds, found.run_seconds) > 0
    assert found.snr_db is None
    assert found.operations > 1000 * found.parameters
    assert found.gflop_per_second == found.operations / 1e9 / 0.75


def test_others_are_compared_with_the_reference(case, other, tmp_path):
    assert measure(other, tmp_path, most_seconds=0.01).operations is None
    measure(case, tmp_path, most_seconds=0.01)
    assert measure(case, tmp_path, most_seconds=0.01).snr_db == float("inf")
    assert measure(other, tmp_path, most_seconds=0.01).snr_db == pytest.approx(40, abs=0.01)


def test_without_a_reference_nothing_takes_its_place(other, tmp_path):
    assert measure(other, tmp_path, most_seconds=0.01).snr_db is None
    assert not (tmp_path / REFERENCE_FILE).exists()


def test_the_reference_works_on_every_machine():
    assert REFERENCE[1] in backends()[REFERENCE[0]]
    assert next(iter(backends())) == REFERENCE[0]


def test_a_model_that_is_not_there_is_an_error_of_ours(tmp_path):
    case = Case(Subject(str(tmp_path / "none.safetensors")), *REFERENCE, threads=1)
    with pytest.raises(UnbraidError, match=r"none\.safetensors"):
        measure(case, tmp_path, most_seconds=0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell without another package")
def test_peak_memory_grows_with_what_is_held_and_stays():
    # In a fresh process: the peak of this one may lie far above what it holds now.
    script = (
        "import torch; from unbraid.engine.memory import peak_bytes; before = peak_bytes();"
        "held = torch.ones(256 << 20, dtype=torch.uint8); grown = peak_bytes(); del held;"
        "print(before, grown, peak_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, grown, after = map(int, done.stdout.split())
    assert before > 50e6
    assert grown - before == pytest.approx(2**28, rel=0.1)
    assert after == pytest.approx(grown, rel=0.01)  # the system counts in batches


def test_the_processor_has_no_memory_of_its_own():
    assert device_peak_bytes(torch.device("cpu")) is None
