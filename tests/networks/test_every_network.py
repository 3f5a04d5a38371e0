"""What holds for every network; an architecture enters by standing in ARCHITECTURES, with a tiny config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from networks.tiny import PUBLISHED, TINY, lively
from unbraid.config import structure, unstructure
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import build, parameter_count

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=ARCHITECTURES)
def network(request, _pictures):
    """A tiny network, all of whose branches are alive, in evaluation mode."""
    network = build(request.param, TINY[request.param])
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


def mixtures(network, rng, *, batch=2, length=None):
    spec = network.spec
    return 0.1 * torch.randn(batch, spec.channels, length or spec.segment, generator=rng)


def distance(estimates, reference):
    return ((estimates.double() - reference.double()).norm() / reference.double().norm()).item()


def test_estimates_have_a_row_for_each_source_at_every_accepted_length(network, rng):
    spec = network.spec
    lengths = {spec.accepted_length(length) for length in (1, spec.segment - 1, spec.segment)}
    for length in sorted(lengths):
        estimates = network(mixtures(network, rng, length=length))
        assert estimates.shape == (2, len(spec.sources), spec.channels, length)
        assert estimates.isfinite().all()


def test_every_parameter_gets_a_gradient(network, rng):
    # In training a norm of the batch takes off again what a bias before it adds, but for rounding.
    idle = {*without_gradient(network.train(), rng)} & {*without_gradient(network.eval(), rng)}
    assert not idle


def without_gradient(network, rng):
    """Names of the parameters that do not matter to the estimates."""
    network.zero_grad()
    estimates = network(mixtures(network, rng).requires_grad_())  # for those without parameters
    (estimates * torch.randn(estimates.shape, generator=rng)).sum().backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]


def test_rows_of_a_batch_are_independent(network, rng):
    batch = mixtures(network, rng, batch=3)
    batch[1] *= 100
    together = network(batch)
    for row in range(3):
        assert distance(together[row], network(batch[row : row + 1])[0]) < 1e-5


def test_evaluation_is_deterministic(network, rng):
    mixture = mixtures(network, rng)
    torch.testing.assert_close(network(mixture), network(mixture), rtol=0, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_is_close(network, rng, dtype, tolerance):
    mixture = mixtures(network, rng)
    whole = network(mixture)
    half = network.to(dtype)(mixture.to(dtype))
    assert half.dtype == dtype
    assert distance(half, whole) < tolerance


def test_autocast_is_close(network, rng):
    mixture = mixtures(network, rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(mixture)
    assert distance(half, network(mixture)) < 0.05


def test_the_mixture_is_not_written_to(network, rng):
    mixture = mixtures(network, rng)
    before = mixture.clone()
    network(mixture)
    assert mixture.equal(before)


def test_the_answer_depends_on_the_stored_weights_alone(network, rng):
    architecture = network.__module__.rsplit(".", 1)[-1]
    with torch.device("meta"):
        empty = build(architecture, network.config)
    empty.load_state_dict(network.state_dict(), assign=True)
    mixture = mixtures(network, rng)
    assert empty.eval()(mixture).equal(network(mixture))


def test_a_configuration_survives_being_written_down(network):
    plain = json.loads(json.dumps(unstructure(network.config)))
    assert structure(plain, type(network.config)) == network.config


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_published_networks_have_the_published_weights(published):
    if published.package:
        pytest.importorskip(published.package, exc_type=ImportError)
    with torch.device("meta"):
        network = build(published.architecture, published.config)
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    golden = json.loads((GOLDEN / f"{published.name}.json").read_text(encoding="utf-8"))
    assert shapes == golden
    assert parameter_count(network) == published.parameters


def test_every_architecture_has_a_tiny_and_a_published_configuration():
    assert TINY.keys() == ARCHITECTURES.keys()
    assert {published.architecture for published in PUBLISHED} == set(ARCHITECTURES)
