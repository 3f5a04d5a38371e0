"""Open-Unmix: one recurrent network per source, over magnitude spectrograms.

Paper    Stöter, Uhlich, Liutkus, Mitsufuji, "Open-Unmix – a reference implementation for music source
         separation", JOSS 4(41), 2019.
Weights  parameter names are those of the published checkpoints, of which each holds one source:
         `targets.{i}` is the i-th source.
Differs  the Wiener filter is dsp.wiener; a single source without residual is not filtered.

    mixture ─ STFT ─┬─ |X| ─┬─ target ─┬─ Wiener filter ─ inverse STFT ─ estimates
                    │       ├─ target ─┤        │
                    │       └─ …       ┘        │
                    └────────── X ──────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from torch import nn

from unbraid.dsp.wiener import WienerFilter
from unbraid.networks.layers import unmix
from unbraid.networks.layers.unmix import Sizes, UnmixTarget, separate_magnitudes

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.split import Inner

FREE_FIELDS = unmix.FREE_FIELDS | {"residual"}
RESIDUAL = "residual"  # name of the source that is made of what the others leave


@dataclass(frozen=True, slots=True)
class Config(Sizes):
    """What an Open-Unmix is made from; the defaults are the published umx and umxhq.

    Args:
        sources: As in `Sizes`, where the other fields stand, too.
        wiener_window: Frames that share their covariances; None: all.
        residual: True: what the sources leave of the mixture is one more, the last.
    """

    title: ClassVar[str] = "Open-Unmix"

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    wiener_window: int | None = 300
    residual: bool = False

    @property
    def heard(self) -> tuple[str, ...]:
        """The sources of the output."""
        return (*self.sources, RESIDUAL) if self.residual else self.sources

    @property
    def wiener(self) -> WienerFilter:
        """The filter; one source alone would get all of the mixture by it."""
        return WienerFilter(
            self.iterations if len(self.heard) > 1 else 0,
            softmask=self.softmask,
            residual=self.residual,
            window=self.wiener_window,
        )


class OpenUnmix(nn.Module):
    """Separates a mixture into its sources, by a mask for each and a filter for all.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the published model.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        self.spec = self.config.spec(self.config.heard)
        self.targets = nn.ModuleList(UnmixTarget(self.config) for _ in self.config.sources)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`; the residual, if there is one, comes last.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra and the filter are here."""
        dtype = next(self.parameters()).dtype
        return separate_magnitudes(inner, mixture, self.config, self.config.wiener, dtype)

    @property
    def branches(self) -> int:
        """The sources: each has layers of its own."""
        return len(self.targets)

    def inner(self, magnitudes: Tensor, branch: int | None = None) -> tuple[Tensor, ...]:
        """What to multiply the mixture's magnitudes with, for each source, or for one.

        Args:
            magnitudes: `(N, B, C, F)`.
            branch: The source's number; None: all.

        Returns:
            A mask of the same shape for each.
        """
        chosen = self.targets if branch is None else self.targets[branch : branch + 1]
        return tuple(self._mask(cast("UnmixTarget", target), magnitudes) for target in chosen)

    def _mask(self, target: UnmixTarget, magnitudes: Tensor) -> Tensor:
        features = target.encoded(magnitudes)
        return target.mask(features, target.remembered(features))
