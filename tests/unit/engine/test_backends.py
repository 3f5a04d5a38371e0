"""What runs a network, and on what."""

from __future__ import annotations

import pytest
import torch

from fakes import spec_of
from signals import noise
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.runtime import Runtime
from unbraid.errors import MachineError, ModelError, UsageError


class Doubler(torch.nn.Module):
    """Two sources, each twice the mixture; says how many threads it saw."""

    threads = 0

    def forward(self, mixture):
        self.threads = torch.get_num_threads()
        assert not torch.is_grad_enabled()
        return torch.stack([2 * mixture, 2 * mixture], 1)


class Failing(torch.nn.Module):
    """Raises, or gives, what it was told."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, mixture):
        if isinstance(self.what, Exception):
            raise self.what
        return torch.full_like(mixture, self.what)[:, None]


CPU = Runtime("cpu")


def test_a_batch_goes_through_without_gradients_and_unchanged():
    batch = noise(100)[None]
    kept = batch.clone()
    estimates = EagerBackend(Doubler(), spec_of(100), CPU).run(batch)
    assert torch.equal(estimates[0, 1], 2 * kept[0])
    assert torch.equal(batch, kept)


def test_threads_are_for_the_run_only():
    before = torch.get_num_threads()
    network = Doubler()
    EagerBackend(network, spec_of(10), Runtime("cpu", threads=before + 1)).run(noise(10)[None])
    assert network.threads == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_is_the_machines_error_and_says_what_helps(error):
    with pytest.raises(MachineError, match="a smaller batch needs less"):
        EagerBackend(Failing(error), spec_of(10), CPU).run(noise(10)[None])


def test_other_errors_of_a_network_rise_as_they_are():
    with pytest.raises(RuntimeError, match="a bug"):
        EagerBackend(Failing(RuntimeError("a bug")), spec_of(10), CPU).run(noise(10)[None])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_network_that_gives_nan_is_refused(value):
    with pytest.raises(ModelError, match="NaN or infinity"):
        EagerBackend(Failing(value), spec_of(10), CPU).run(noise(10)[None])


def test_a_closed_backend_says_so():
    backend = EagerBackend(Doubler(), spec_of(10), CPU)
    backend.close()
    with pytest.raises(UsageError, match="closed"):
        backend.run(noise(10)[None])


def test_a_device_that_does_not_exist_is_named():
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        Runtime("gpu").torch_device()


@pytest.mark.skipif(torch.cuda.is_available(), reason="runs where there is no CUDA device")
def test_a_device_that_is_missing_here_says_what_works():
    with pytest.raises(MachineError, match="--device cpu works everywhere"):
        Runtime("cuda:3").torch_device()


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 100_000}, {"batch_size": 0}])
def test_threads_and_batches_start_at_one(options):
    with pytest.raises(UsageError, match="both start at 1"):
        Runtime("cpu", **options)


@pytest.mark.parametrize(
    ("device", "asked", "expected"), [("cpu", None, 1), ("cuda", None, 4), ("cuda", 2, 2), ("cpu", 3, 3)]
)
def test_a_gpu_is_given_several_segments_at_once(monkeypatch, device, asked, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert Runtime(device, batch_size=asked).batch == expected
