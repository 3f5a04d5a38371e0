"""Filters of least squares from correlations alone, in a fraction of the time that a full matrix takes.

The normal equations of filters hold one block for each pair of taps, and the block depends only on how far
the two are apart. Such a matrix, less itself shifted down by one block, is U'U - V'V, with U and V but one
block high:

    T0  T1  T2      Each step makes one block row of the triangular factor R, where R'R is the matrix, and
    T1' T0  T1      the next U and V. There are as many steps as taps, each of a few products of small
    T2' T1' T0      matrices, and the factor is as exact as that of Cholesky's algorithm.

Source  Kailath, Sayed, "Displacement structure: theory and applications", SIAM Review 37(3), 1995. The new V
        is made from the new U, which keeps rounding small: Bojanczyk, Brent, Van Dooren, de Hoog, "A note on
        downdating the Cholesky factorization", SIAM J. Sci. Stat. Comput. 8(3), 1987.

K channel · M channel aimed at · L tap · N = K × L
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.linalg import cholesky_ex, solve_triangular

if TYPE_CHECKING:
    from torch import Tensor

_EPSILON = 2.0**-52  # what museval adds to the diagonal
_JITTER = 1e-13  # of the greatest diagonal: the rounding of the correlations


def solve(among: Tensor, towards: Tensor) -> Tensor:
    """The filters from K channels that come closest to each of M others.

    Equal channels make a matrix that is singular but for rounding, and so do signals that lack a band down to
    the rounding of floats. Then a little is added to the diagonal, as much as rounding has done already: too
    little for a projection on equal channels to notice.

    Args:
        among: Correlations of the channels: entry `(i, j, l)` is that of i with j, l samples later;
            `(K, K, L)`.
        towards: The same of the channels with the others, `(K, M, L)`.

    Returns:
        Filters, `(K, M, L)`.

    >>> among = torch.tensor([[[2.0, 1.0, 0.0]]], dtype=torch.float64)
    >>> solve(among, torch.tensor([[[4.0, 6.0, 4.0]]], dtype=torch.float64)).round(decimals=9).tolist()
    [[[1.0, 2.0, 1.0]]]
    """
    count, others, taps = towards.shape
    row = among.permute(1, 2, 0).reshape(count, -1)  # T0, T1 and so on, (K, N); T1 looks back: i, j swap
    diagonal, more = row.diagonal(), _EPSILON
    while True:
        diagonal += more
        factor = _factor(row)
        if factor is not None:
            right = towards.permute(2, 0, 1).reshape(-1, others)  # (N, M)
            half = solve_triangular(factor.mT, right, upper=False)
            filters: Tensor = solve_triangular(factor, half, upper=True)  # (N, M)
            return filters.view(taps, count, others).permute(1, 2, 0)
        more = max(10 * more, _JITTER * float(diagonal.max()))


def _factor(row: Tensor) -> Tensor | None:
    """The upper triangular factor of the matrix with this first block row, `(N, N)`; None if it has none."""
    count, size = row.shape
    first, fault = cholesky_ex(row[:, :count])
    if fault:
        return None
    factor, one = row.new_zeros(size, size), torch.eye(count, dtype=row.dtype)
    plus = minus = factor[:count] = solve_triangular(first, row, upper=False)  # U and V, (K, N)
    for at in range(count, size, count):
        plus, minus = plus[:, :-count], minus[:, count:]
        # A hyperbolic rotation of U and V, such that the first block of V vanishes.
        turn = solve_triangular(plus[:, :count], minus[:, :count], upper=True, left=False)
        shrunk, fault = cholesky_ex(one - turn.mT @ turn)
        kept, fault_too = cholesky_ex(one - turn @ turn.mT)
        if fault or fault_too:
            return None
        plus = solve_triangular(shrunk, one, upper=False) @ torch.addmm(plus, turn.mT, minus, alpha=-1)
        back = solve_triangular(kept, turn @ shrunk, upper=False)
        minus = torch.addmm(kept.mT @ minus, back, plus, alpha=-1)
        factor[at : at + count, at:] = plus
    return factor
