from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import signals
from unbraid.networks.classical.nmf import Config, Nmf, factorised

RATE = 44100


def divergence(matrix, model):
    return (matrix * (matrix / model).log() - matrix + model).sum().item()


def test_every_round_lowers_the_divergence(rng):
    matrix = torch.rand(20, 40, generator=rng, dtype=torch.float64)
    spectra, levels = torch.rand(20, 5, generator=rng).double(), torch.rand(5, 40, generator=rng).double()
    heights = []
    for _ in range(30):
        heights.append(divergence(matrix, spectra @ levels))
        spectra, levels = factorised(matrix, spectra, levels, 1)
    assert all(after < before for before, after in pairwise(heights))


def test_one_component_is_the_product_of_the_sums(rng):
    # For one component the minimum is known: rows' sums times columns' sums by the sum of all.
    matrix = torch.rand(20, 40, generator=rng, dtype=torch.float64)
    spectra, levels = factorised(matrix, matrix[:, :1], matrix[:1], 2)
    expected = matrix.sum(1, keepdim=True) * matrix.sum(0, keepdim=True) / matrix.sum()
    torch.testing.assert_close(spectra @ levels, expected, rtol=1e-12, atol=0)


def beats(length):
    hits = signals.silence(length)
    for start in range(2000, length, RATE // 2):
        hits[:, start : start + 400] = signals.noise(400, seed=start)[:, : length - start]
    return hits


@pytest.mark.parametrize(
    ("signal", "source"),
    [(beats, "drums"), (lambda length: signals.tone(length, hz=80.0), "bass"), (signals.tone, "other")],
)
def test_each_sound_goes_where_it_belongs(signal, source):
    network = Nmf(Config(components=8, iterations=30))
    energy = network(signal(3 * RATE)[None])[0].square().sum((1, 2))
    assert energy[network.spec.sources.index(source)] > 0.85 * energy.sum()


def test_a_seed_decides_the_answer():
    mixture = signals.noise(RATE // 2)[None]
    answers = [Nmf(Config(components=4, iterations=3, seed=seed))(mixture) for seed in (1, 1, 2)]
    assert answers[0].equal(answers[1])
    assert not answers[0].equal(answers[2])
