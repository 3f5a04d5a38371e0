"""NMF: a song as a few spectra, each played louder and softer over time, sorted by what they sound like.

A spectrogram V is modelled by a few spectra W and by how loud each is in every frame, H, so that V ≈ W H.
Each of these components is then handed to the sources by what it sounds like:

    drums    the part of its energy that medians call percussive, see `hpss`
    bass     of what is left, the part that lies below a frequency
    other    what is left of that

So the sources are the same in every piece of a song, which numbers of components would not be.

Paper    Lee, Seung, "Algorithms for non-negative matrix factorization", NIPS 2000: the updates for the
         Kullback-Leibler divergence. Févotte, Bertin, Durrieu, "Nonnegative matrix factorization with the
         Itakura-Saito divergence", Neural Computation 21(3), 2009: reconstruction by Wiener filtering.
Differs  the sorting is ours. The frames of all channels stand side by side in one matrix: channels share
         their spectra.

S source · C channel · F bin · N frame · K component
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from unbraid.networks.classical.hpss import median_masks
from unbraid.networks.classical.masking import Masking, MaskingConfig, apart, shares, side_by_side

if TYPE_CHECKING:
    from torch import Tensor

_MEDIAN = 17  # frames and bins; Fitzgerald's choice for frames as far apart as these


@dataclass(frozen=True, slots=True)
class Config(MaskingConfig):
    """What an NMF is made from; see `MaskingConfig` for what is not said here.

    Args:
        sources: The percussive, the low and the rest.
        components: Spectra that the song is modelled by.
        iterations: Rounds of updates.
        seed: Of the first spectra and levels.
        bass_hz: What lies below is bass.
        power: Of the masks.
    """

    METHOD: ClassVar[str] = "NMF"
    LONGEST_SECONDS: ClassVar[int] = 600
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "components": (1, 1024),
        "iterations": (1, 10_000),
        "seed": (0, 2**63 - 1),
        "bass_hz": (0, 768_000),
        "power": (0.1, 100),
    }

    sources: tuple[str, ...] = ("drums", "bass", "other")
    hop_length: int = 1024
    components: int = 40
    iterations: int = 100
    seed: int = 0
    bass_hz: float = 250.0
    power: float = 1.0

    @property
    def source_count(self) -> int:
        """How many sources there are to be named."""
        return 3


class Nmf(Masking):
    """Sorts components of a song into drums, bass and the rest."""

    config: Config

    def masks(self, spectrum: Tensor) -> Tensor:
        """What each source takes of one mixture, `(C, F, N)` to `(3, C, F, N)`; the sum is 1."""
        magnitude = spectrum.abs()
        magnitude = magnitude / magnitude.mean().clamp_min(torch.finfo(magnitude.dtype).tiny)
        matrix = side_by_side(magnitude)
        spectra, levels = factorised(matrix, *self._first(matrix), self.config.iterations)
        parts = self._parts(magnitude, spectra, levels)
        models = torch.stack([(part * spectra) @ levels for part in parts])  # (S, F, C · N)
        return apart(shares(models, self.config.power), len(magnitude))

    def _first(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Seeded spectra `(F, K)` and levels `(K, C · N)` whose product is 1 on average, as the matrix is."""
        generator = torch.Generator().manual_seed(self.config.seed)
        (bins, frames), count = matrix.shape, self.config.components
        scale = 2 / count**0.5
        spectra = torch.rand(bins, count, generator=generator, dtype=torch.float64)
        levels = torch.rand(count, frames, generator=generator, dtype=torch.float64)
        return scale * spectra.to(matrix), scale * levels.to(matrix)

    def _parts(self, magnitude: Tensor, spectra: Tensor, levels: Tensor) -> Tensor:
        """What part of each component each source gets, `(S, K)`; the sum is 1."""
        percussive = median_masks(magnitude, _MEDIAN, _MEDIAN, power=2.0, margin=1.0)[1]
        hits, all_of_it = (
            ((spectra.mT @ side_by_side(part)) * levels).sum(1)
            for part in (percussive * magnitude, magnitude)
        )
        low = spectra[: self.config.bins_below(self.config.bass_hz)].square().sum(0)
        drums = _part(hits, all_of_it)
        bass = (1 - drums) * _part(low, spectra.square().sum(0))
        return torch.stack([drums, bass, 1 - drums - bass])


def factorised(matrix: Tensor, spectra: Tensor, levels: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Spectra and levels whose product comes nearer to a matrix, by the Kullback-Leibler divergence.

    Args:
        matrix: Not negative, `(F, N)`.
        spectra: To begin with, `(F, K)`.
        levels: To begin with, `(K, N)`.
        iterations: Rounds; each updates the spectra, then the levels.

    Returns:
        Spectra and levels, as they were shaped.
    """
    tiny = torch.finfo(matrix.dtype).eps
    for _ in range(iterations):
        ratio = matrix / (spectra @ levels).clamp_min(tiny)
        spectra = spectra * (ratio @ levels.mT) / levels.sum(1).clamp_min(tiny)
        ratio = matrix / (spectra @ levels).clamp_min(tiny)
        levels = levels * (spectra.mT @ ratio) / spectra.sum(0).clamp_min(tiny).unsqueeze(1)
    return spectra, levels


def _part(some: Tensor, of_all: Tensor) -> Tensor:
    """Some by all, 0 where there is nothing."""
    return (some / of_all.clamp_min(torch.finfo(of_all.dtype).tiny)).clamp_max(1)
