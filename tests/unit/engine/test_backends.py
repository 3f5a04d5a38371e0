"""What runs a network, and on what."""

from __future__ import annotations

import pytest
import torch

from fakes import spec_of
from signals import noise
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.runtime import Precision, Runtime
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


class Looks(torch.nn.Module):
    """Its layers look at ten samples at a time, and at none of the context of ten samples."""

    def __init__(self):
        super().__init__()
        self.spec = spec_of(40, context=10)
        self.asked = 0

    def forward(self, mixture):
        return self.around(self.inner, mixture)

    def around(self, inner, mixture):
        return torch.cat([inner(look)[0] for look in mixture.split(10, -1)], -1)

    def spared(self, inner, mixture):
        edge = mixture[..., :10, None].movedim(-1, 1).expand(-1, 2, -1, -1)
        return torch.cat([edge, self.around(inner, mixture[..., 10:])], -1)

    def inner(self, look):
        self.asked += 1
        return (torch.stack([look, 2 * look], 1),)


@pytest.mark.parametrize("precision", [Precision.EXACT, Precision.BFLOAT16])
def test_a_look_that_comes_twice_in_a_row_is_taken_once(precision):
    network = Looks().eval()
    runner = EagerBackend(network, network.spec, Runtime("cpu", precision=precision))
    track = noise(60)[None]
    first, second = runner.run(track[..., :40]), runner.run(track[..., 20:])
    assert network.asked == 5  # of six looks, the last of the first segment is the first of the second
    assert torch.equal(first[..., 10:], network.around(network.inner, track[..., 10:40]))
    assert torch.equal(second[..., 10:], network.around(network.inner, track[..., 30:]))


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
