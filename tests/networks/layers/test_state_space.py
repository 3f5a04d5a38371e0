"""The sum in chunks against the sum step by step, and what may stand in its place."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from networks.tiny import lively
from reference import slow_state_space
from unbraid.networks.layers import state_space
from unbraid.networks.layers.state_space import Mamba2, scan


def arguments(rng, *, rows=3, tokens=7, heads=2, size=4, states=5, dtype=torch.float64):
    def noise(*shape):
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    steps = torch.nn.functional.softplus(noise(rows, tokens, heads) - 1)
    found = noise(rows, tokens, heads, size), steps, -noise(heads).exp()
    return [value.to(dtype) for value in (*found, noise(rows, tokens, states), noise(rows, tokens, states))]


def distance(found, expected):
    return np.linalg.norm(found.double().numpy() - expected) / np.linalg.norm(expected)


# One chunk, its longest, two of 48 and 49, and so many that the last is shorter than the others.
@pytest.mark.parametrize("tokens", [1, 2, 64, 95, 97, 129, 300])
@pytest.mark.parametrize("in_pieces", [True, False])
def test_chunks_are_the_sum_step_by_step(tokens, in_pieces, rng, monkeypatch):
    monkeypatch.setattr(state_space, "_in_pieces", lambda _: in_pieces)
    given = arguments(rng, tokens=tokens)
    expected = slow_state_space.scan(*(value.numpy() for value in given))
    assert distance(scan(*given), expected) < 1e-13
    assert distance(scan(*(value.float() for value in given)), expected) < 1e-5


@pytest.mark.parametrize("in_pieces", [True, False])
def test_what_was_long_ago_is_forgotten_and_not_blown_up(in_pieces, rng, monkeypatch):
    monkeypatch.setattr(state_space, "_in_pieces", lambda _: in_pieces)
    signal, steps, rates, writes, reads = arguments(rng, tokens=200)
    steps = 300 * steps  # decays of e^-10000 within a chunk
    expected = slow_state_space.scan(*(value.numpy() for value in (signal, steps, rates, writes, reads)))
    found = scan(*(value.float() for value in (signal, steps, rates, writes, reads)))
    assert distance(found, expected) < 1e-5


@pytest.mark.parametrize("limits", [(1, 1), (2**20, 2**17), (700, 9000)])
def test_how_much_is_done_at_once_does_not_matter(limits, rng, monkeypatch):
    layer = Mamba2(8, state_size=6, expansion=2, head_size=4).double()
    tokens = torch.randn(5, 150, 8, generator=rng, dtype=torch.float64)
    whole = layer(tokens)
    for name, limit in zip(("_SCANNED", "_DECAYS"), limits, strict=True):
        monkeypatch.setattr(state_space, name, limit)
    torch.testing.assert_close(layer(tokens), whole)


def test_gradients_are_those_of_the_sum(rng):
    given = [value.requires_grad_() for value in arguments(rng, rows=1, tokens=5)]
    assert torch.autograd.gradcheck(scan, given)
    longer = [
        value.requires_grad_() for value in arguments(rng, rows=1, tokens=98, heads=1, size=1, states=1)
    ]
    assert torch.autograd.gradcheck(scan, longer)


@pytest.mark.parametrize("tokens", [1, 3, 130])
@torch.no_grad()
def test_a_layer_is_its_slow_twin(tokens, rng):
    layer = Mamba2(8, state_size=6, expansion=2, head_size=4)
    layer.load_state_dict(lively(layer.state_dict()))
    given = torch.randn(3, tokens, 8, generator=rng, dtype=torch.float64)
    weights = {name: value.double().numpy() for name, value in layer.state_dict().items()}
    expected = slow_state_space.mamba2(given.numpy(), weights, head_size=4)
    assert distance(layer(given.float()), expected) < 1e-5
    assert distance(layer.double()(given), expected) < 1e-12


@torch.no_grad()
def test_later_tokens_are_not_heard(rng):
    layer = Mamba2(8, state_size=6, expansion=2, head_size=4).double()
    tokens = torch.randn(1, 140, 8, generator=rng, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 100:] += 1
    torch.testing.assert_close(layer(changed)[:, :100], layer(tokens)[:, :100])


def test_first_weights_take_steps_and_rates_as_published():
    layer = Mamba2(64)
    steps, rates = torch.nn.functional.softplus(layer.dt_bias), layer.A_log.exp()
    assert 0.00099 < steps.min() < steps.max() < 0.101
    assert 0.99 < rates.min() < rates.max() < 16.1


@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
@torch.no_grad()
def test_a_graph_is_the_layer(rng):
    layer = Mamba2(8, state_size=6, expansion=2, head_size=4).eval()
    tokens = torch.randn(3, 150, 8, generator=rng)
    other = torch.randn(5, 300, 8, generator=rng)  # of another length, too
    graph = torch.jit.trace(layer, tokens, check_trace=False)
    torch.testing.assert_close(graph(other), layer(other))


def kernel_of_the_package(signal, steps, rates, writes, reads, *, chunk_size):
    """What `mamba_ssm` computes, with its arguments: what is written and read has a group of heads."""
    assert chunk_size == 256
    assert writes.shape == (*signal.shape[:2], 1, writes.shape[-1]) == reads.shape
    found = slow_state_space.scan(
        *(value.numpy() for value in (signal, steps, rates, writes[:, :, 0], reads[:, :, 0]))
    )
    return torch.from_numpy(found)


def test_the_published_kernel_takes_our_place(rng, monkeypatch):
    given = arguments(rng)
    ours = scan(*given)
    monkeypatch.setattr(state_space, "_kernel_for", lambda _: kernel_of_the_package)
    torch.testing.assert_close(scan(*given), ours)


def test_the_published_kernel_is_used_on_cuda_where_it_is_installed(monkeypatch):
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    package = ModuleType("mamba_ssm.ops.triton.ssd_combined")
    package.mamba_chunk_scan_combined = kernel_of_the_package
    parents = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton")
    for name in parents:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    state_space._published_kernel.cache_clear()
    assert state_space._kernel_for(cpu) is None
    assert state_space._kernel_for(cuda) is kernel_of_the_package
    for name in (*parents, package.__name__):
        monkeypatch.setitem(sys.modules, name, None)  # as if not installed
    state_space._published_kernel.cache_clear()
    assert state_space._kernel_for(cuda) is None
    state_space._published_kernel.cache_clear()
