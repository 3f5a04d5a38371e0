"""RPCA: an accompaniment repeats itself, so its spectrogram has a low rank; a voice is sparse and has not.

A spectrogram M is taken apart into a matrix L of low rank and a sparse one S:

    minimise  ‖L‖⁎ + λ ‖S‖₁   so that   L + S = M        ‖·‖⁎ sum of singular values · ‖·‖₁ of magnitudes

Either norm is lowered by shrinking: the one all singular values, the other all entries, by the same amount
and never below 0. Each matrix in turn is shrunk from what the other leaves, by less from round to round.

Paper    Huang, Chen, Smaragdis, Hasegawa-Johnson, "Singing-voice separation from monaural recordings using
         robust principal component analysis", ICASSP 2012; solved as in Lin, Chen, Ma, "The augmented
         Lagrange multiplier method for exact recovery of corrupted low-rank matrices", 2010.
Differs  masks are soft. Voices are looked for within a band, which is what the paper's sample rate does, too.
         The frames of all channels stand side by side in one matrix: what is the same in all of them comes
         out as if it were one.

S source · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from unbraid.networks.classical.masking import Masking, MaskingConfig, apart, shares, side_by_side

if TYPE_CHECKING:
    from torch import Tensor

_FIRST_PENALTY, _STRICTER = 1.25, 1.5  # the second paper's constants for its inexact method


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What an RPCA is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: The sparse, and what has a low rank.
        low_hz: Below this all is accompaniment.
        high_hz: From here on all is accompaniment.
        sparsity: λ · √(the longer side of the matrix); the greater, the less is voice.
        tolerance: Of ‖M − L − S‖ by ‖M‖, at which it is done.
        iterations: At most.
        power: Of the masks.
    """

    METHOD: ClassVar[str] = "RPCA"
    LONGEST_SECONDS: ClassVar[int] = 600
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "low_hz": (0, 768_000),
        "high_hz": (0, 768_000),
        "sparsity": (0.01, 100),
        "tolerance": (1e-12, 1),
        "iterations": (1, 1000),
        "power": (0.1, 100),
    }

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    hop_length: int = 1024
    low_hz: float = 100.0
    high_hz: float = 8000.0
    sparsity: float = 1.0
    tolerance: float = 1e-5
    iterations: int = 100
    power: float = 1.0

    def contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = MaskingConfig.contradictions(self)
        if self.bins_below(self.low_hz) >= self.bins_below(self.high_hz):
            faults.append("no bin lies between low_hz and high_hz")
        return faults


class Rpca(Masking):
    """Sorts what is sparse from what has a low rank."""

    config: Config

    def masks(self, spectrum: Tensor) -> Tensor:
        """What voice and accompaniment take of one mixture, `(C, F, N)` to `(2, C, F, N)`; the sum is 1."""
        config = self.config
        low, high = config.bins_below(config.low_hz), config.bins_below(config.high_hz)
        magnitude = spectrum[:, low:high].abs()
        low_rank, sparse = robust_pca(
            side_by_side(magnitude), config.sparsity, config.tolerance, config.iterations
        )
        found = shares(torch.stack([sparse, low_rank]).abs(), config.power)
        masks = magnitude.new_zeros(2, *spectrum.shape)
        masks[1] = 1
        masks[:, :, low:high] = apart(found, len(magnitude))
        return masks


def robust_pca(matrix: Tensor, sparsity: float, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
    """A matrix as the sum of one of low rank and a sparse one.

    Args:
        matrix: `(m, n)`.
        sparsity: λ · √max(m, n).
        tolerance: Of ‖M − L − S‖ by ‖M‖, at which it is done.
        iterations: At most, 1 or more.

    Returns:
        L and S, `(m, n)` each.
    """
    size = matrix.norm().item()
    if not size:
        return matrix, matrix
    weight = sparsity / max(matrix.shape) ** 0.5
    widest = torch.linalg.matrix_norm(matrix, 2).item()
    multiplier = matrix / max(widest, matrix.abs().max().item() / weight)
    penalty = _FIRST_PENALTY / widest
    low_rank = sparse = torch.zeros_like(matrix)
    for _ in range(iterations):
        low_rank = _shrunk_rank(matrix - sparse + multiplier / penalty, 1 / penalty)
        sparse = F.softshrink(matrix - low_rank + multiplier / penalty, weight / penalty)
        missing = matrix - low_rank - sparse
        multiplier = multiplier + penalty * missing
        penalty *= _STRICTER
        if missing.norm() < tolerance * size:
            break
    return low_rank, sparse


def _shrunk_rank(matrix: Tensor, amount: float) -> Tensor:
    """A matrix `(m, n)` whose singular values are all less by so much, and none below 0.

    They and their vectors come from M Mᵀ, whose eigenvalues are their squares: of a wide matrix a fraction of
    the work. What squaring costs in accuracy, in double precision, lies far below the values that are kept.
    """
    exact = matrix.double()
    squares, vectors = torch.linalg.eigh(exact @ exact.mT)
    values = squares.clamp_min(0).sqrt()
    kept = values > amount
    vectors, values = vectors[:, kept].to(matrix.dtype), values[kept].to(matrix.dtype)
    shrunk: Tensor = (vectors * (1 - amount / values)) @ (vectors.mT @ matrix)
    return shrunk
