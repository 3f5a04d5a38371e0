"""X-UMX: Open-Unmix whose networks share what they see and what they remember.

Paper    Sawata, Uhlich, Takahashi, Mitsufuji, "All for one and one for all: improving music separation by
         bridging networks", ICASSP 2021.
Weights  parameter names are those of Open-Unmix; `targets.{i}` is the i-th source. zoo.keymaps.x_umx knows
         the two published namings.
Differs  the mean of joined features is the joint of their means: each is taken once. The Wiener filter is
         dsp.wiener with the constants of the one that the published programs use, norbert 0.2.1.

    mixture ─ STFT ─ |X| ─┬─ encode ─┬─ mean ─┬─ recurrence ─┬─ mean ─┬─ mask ─┬─ Wiener ─ inverse STFT
                          ├─ encode ─┤        ├─ recurrence ─┤        ├─ mask ─┤
                          └─ …       ┘        └─ …           ┘        └─ …     ┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import nn

from unbraid.dsp.wiener import WienerFilter
from unbraid.networks.layers import unmix
from unbraid.networks.layers.unmix import Sizes, UnmixTarget, separate_magnitudes

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.split import Inner

FREE_FIELDS = unmix.FREE_FIELDS
_EPS = 2.0**-52  # norbert's: the rounding step of float64


@dataclass(frozen=True, slots=True)
class Config(Sizes):
    """What an X-UMX is made from; the defaults are the published model.

    Args:
        sources: As in `Sizes`, where the other fields stand, too.
    """

    title: ClassVar[str] = "X-UMX"

    sources: tuple[str, ...] = ("bass", "drums", "vocals", "other")


class XUMX(nn.Module):
    """Separates a mixture into its sources, by masks that were made together and a filter for all.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the published model.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        self.spec = self.config.spec(self.config.sources)
        self.targets = nn.ModuleList(UnmixTarget(self.config) for _ in self.config.sources)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra and the filter are here."""
        config, dtype = self.config, next(self.parameters()).dtype
        iterations = config.iterations if len(config.sources) > 1 else 0
        wiener = WienerFilter(iterations, softmask=config.softmask, window=config.wiener_window, eps=_EPS)
        return separate_magnitudes(inner, mixture, config, wiener, dtype)

    def inner(self, magnitudes: Tensor) -> tuple[Tensor, ...]:
        """For each source what to multiply the mixture's magnitudes `(N, B, C, F)` with, of that shape."""
        targets = [cast("UnmixTarget", target) for target in self.targets]
        features = torch.stack([target.encoded(magnitudes) for target in targets]).mean(0)
        remembered = torch.stack([target.remembered(features) for target in targets]).mean(0)
        return tuple(target.mask(features, remembered) for target in targets)
