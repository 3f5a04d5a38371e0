from __future__ import annotations

import numpy as np
import pytest
import torch

from reference import slow_rpca
from unbraid.networks.classical.rpca import Config, Rpca, robust_pca


def planted(rng, *, rank=2, rows=40, columns=90, holes=0.05):
    low_rank = torch.randn(rows, rank, generator=rng) @ torch.randn(rank, columns, generator=rng)
    at = torch.rand(rows, columns, generator=rng) < holes
    sparse = torch.where(at, 5 * torch.randn(rows, columns, generator=rng), torch.tensor(0.0))
    return low_rank.double(), sparse.double()


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (9, 9)])
@pytest.mark.parametrize("sparsity", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("iterations", [1, 5, 60])
def test_both_matrices_are_those_of_the_slow_twin(shape, sparsity, iterations, rng):
    matrix = torch.rand(shape, generator=rng, dtype=torch.float64)
    answers = robust_pca(matrix, sparsity, 1e-9, iterations)
    for answer, slow in zip(
        answers, slow_rpca.robust_pca(matrix.numpy(), sparsity, 1e-9, iterations), strict=True
    ):
        np.testing.assert_allclose(answer, slow, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_planted_matrices_are_found_again(rank, rng):
    low_rank, sparse = planted(rng, rank=rank)
    found = robust_pca(low_rank + sparse, 1.0, 1e-9, 200)
    assert (found[0] - low_rank).norm() < 1e-5 * low_rank.norm()
    assert (found[1] - sparse).norm() < 1e-5 * sparse.norm()


def test_single_precision_is_close(rng):
    low_rank, sparse = planted(rng)
    found, _ = robust_pca((low_rank + sparse).float(), 1.0, 1e-5, 200)
    assert (found - low_rank).norm() < 1e-3 * low_rank.norm()


def test_what_lies_outside_the_band_is_accompaniment(rng):
    network = Rpca(Config(low_hz=1000.0, high_hz=3000.0))
    masks = network.masks(torch.randn(2, 1025, 6, dtype=torch.complex64, generator=rng))
    hz = torch.arange(1025) * 44100 / 2048
    outside = (hz < 1000) | (hz >= 3000)
    assert masks[1, :, outside].eq(1).all()
    assert masks[0, :, ~outside].gt(0).any()
