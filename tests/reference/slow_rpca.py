"""Robust PCA in NumPy, by singular values, as the paper on its solution says it."""

from __future__ import annotations

import numpy as np


def robust_pca(matrix, sparsity, tolerance, iterations):
    """A matrix of low rank and a sparse one whose sum is the given one."""
    weight = sparsity / np.sqrt(max(matrix.shape))
    widest = np.linalg.svd(matrix, compute_uv=False)[0]
    y = matrix / max(widest, np.abs(matrix).max() / weight)
    penalty = 1.25 / widest
    sparse = np.zeros_like(matrix)
    for _ in range(iterations):
        u, values, v = np.linalg.svd(matrix - sparse + y / penalty, full_matrices=False)
        low_rank = u @ np.diag(np.maximum(values - 1 / penalty, 0)) @ v
        rest = matrix - low_rank + y / penalty
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / penalty, 0)
        y = y + penalty * (matrix - low_rank - sparse)
        penalty *= 1.5
        if np.linalg.norm(matrix - low_rank - sparse) < tolerance * np.linalg.norm(matrix):
            break
    return low_rank, sparse
