from __future__ import annotations

import pytest
import torch

from fakes import spec_of
from unbraid.bench.excerpt import excerpt
from unbraid.bench.untrained import realistic, untrained
from unbraid.networks.base import build, parameter_count
from unbraid.zoo import catalog


def test_an_untrained_network_is_as_large_as_the_published_one():
    card = catalog.card("spleeter.2stems")
    network = untrained(card)
    assert sum(value.numel() for value in network.state_dict().values()) >= card.parameters
    assert not network.training


def test_every_weight_of_an_untrained_network_is_an_ordinary_number():
    state = realistic(dict(build("open_unmix", {"hidden_size": 16, "max_bin": 64}).state_dict()))
    numbers = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(numbers) < len(state)
    for name, value in numbers.items():
        assert value.is_floating_point(), name
        assert torch.isfinite(value).all(), name
        assert value.abs().max() > 1e-3, name


def test_counters_stay_whole_numbers():
    state = {"norm.num_batches_tracked": torch.tensor(3)}
    assert realistic(state)["norm.num_batches_tracked"].dtype == torch.int64


def test_equal_seeds_give_equal_weights():
    state = {"linear.weight": torch.empty(8, 8, device="meta")}
    first, second = (realistic(state)["linear.weight"] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, realistic(state, seed=1)["linear.weight"])


def test_a_network_with_such_weights_is_heard():
    network = build("htdemucs", {"channels": 8, "bottom_channels": 16, "t_heads": 2, "segment": 1})
    network.load_state_dict(realistic(dict(network.state_dict())))
    assert parameter_count(network)
    with torch.inference_mode():
        estimates = network.eval()(excerpt(network.spec))
    assert torch.isfinite(estimates).all()
    assert (estimates.std((-1, -2)) > 1e-3).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_excerpt_is_what_the_network_takes(channels):
    spec = spec_of(1003, channels=channels, multiple=8)
    mixture = excerpt(spec)
    assert mixture.shape == (1, channels, 1008)
    assert mixture.dtype == torch.float32
    assert 0.01 < mixture.abs().max() < 2
    assert torch.equal(mixture, excerpt(spec))


def test_a_network_that_wants_its_input_levelled_gets_it_so():
    mono = excerpt(spec_of(5000, levelled=True))[0].mean(0)
    assert mono.mean().abs() < 1e-5
    assert mono.std() == pytest.approx(1.0, abs=1e-4)
