"""VR: cascaded U-Nets that mask one picture of magnitudes, put together from bands of several sample rates.

Source   the UVR community's vocal removers, which go back to tsurumeso's vocal-remover, versions 4 and 5;
         there is no paper. The bands are `dsp.multiband`, the U-Nets `layers.vr_cascade`.
Weights  parameter names behind `cascade.` are those of the published checkpoints.
Differs  magnitudes are measured against the loudest of the segment, where the published program takes the
         loudest of the track: given a whole track at once, this does, too. Two windows meet within a
         segment as published; where two segments meet, each has its own masks for the frames around.

    mixture ─ bands ─┬─ |X| ─ windows ─ cascade ─ masks ─ sharper ─ × ─┬─ bands ─ what was looked for
                     │                                              │  └─ bands ─ the rest
                     └────────────────────── X ─────────────────────┘

A window is as many frames as the network was trained with; its first and last frames are seen, but not used.

    |offset|      used      |offset|
                     |offset|      used      |offset|

B batch · S source, two of them · C channel, two of them · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.multiband import Layout, MultiBand, layout
from unbraid.errors import ConfigError
from unbraid.networks.layers.vr_cascade import CHANNELS, FirstCascade, RecurrentCascade
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Fields that change no weight.
FREE_FIELDS = frozenset({"window", "windows", "aggressiveness", "accompaniment", "mirror"})
# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "channels": (2, 512),
    "levels": (1, 6),
    "views": (5, 7),
    "recurrence": (0, 4096),
    "window": (16, 16_384),
    "windows": (1, 1024),
    "aggressiveness": (-1, 1),
}
_LONGEST = 3600  # seconds that may be read at once, which is what the published program does with a track
_OFFSET, _RECURRENT_OFFSET = 128, 64  # frames at each end of a window that are not used; as published
_RECURRENT_LEVELS = 4


@dataclass(frozen=True, slots=True)
class Config:
    """What a VR network is made from; the defaults are the published 1_HP-UVR.

    Args:
        sources: What is looked for, and the rest.
        layout: Name of a published layout of bands, a table in `dsp/multiband.toml`.
        own_layout: A layout of bands in the place of a published one; None: there is none.
        channels: Of the cascade.
        levels: Of each U-Net of the first generation; the second has 4.
        views: Of each pyramid of the first generation; the second has 5.
        recurrence: Of the second generation, known as 5.1; 0: it is the first, which has none.
        window: Frames that are looked at together.
        windows: In a segment, as it is usually given; the whole track may be.
        aggressiveness: How much more a weak mask is weakened. Masks are taken to the power of 1 + 2 · this
            above the lowest band, and of a third as much more than 1 within it.
        accompaniment: True: what is looked for is the rest of something, as of vocals or of noise. False: it
            is a voice or an instrument, of which to have all is less than to have nothing else: the power is
            2 − 2 · aggressiveness.
        mirror: Whether bins above all that the network was trained on are filled with a mirror image of
            those below.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("accompaniment", "vocals")
    layout: str = "4band_44100"
    own_layout: Layout | None = None
    channels: int = 32
    levels: int = 4
    views: int = 5
    recurrence: int = 0
    window: int = 512
    windows: int = 8
    aggressiveness: float = 0.05
    accompaniment: bool = True
    mirror: bool = False

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no VR network: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        depth = 2 ** (self.levels if self.recurrence == 0 else _RECURRENT_LEVELS)
        faults = {
            f"there must be two sources, not {len(self.sources)}": len(self.sources) != 2,
            f"the layout's {self.bands.bins} bins must be a multiple of {2 * depth}, "
            "twice 2^levels": self.bands.bins % (2 * depth) != 0,
            f"window must be a multiple of {depth}, which is 2^levels": self.window % depth != 0,
            "channels must be even, and with recurrence a multiple of 4": self.channels
            % (2 if self.recurrence == 0 else 4)
            != 0,
            "recurrence must be a multiple of 4": self.recurrence % 4 != 0,
            "this layout leaves nothing to mirror": self.mirror and not self.bands.mirrored,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def bands(self) -> Layout:
        """The layout of bands."""
        return layout(self.layout) if self.own_layout is None else self.own_layout

    @property
    def offset(self) -> int:
        """Frames at each end of a window that are not used; of one too short for that, a quarter each."""
        published = _RECURRENT_OFFSET if self.recurrence else _OFFSET
        return published if self.window > 2 * published else self.window // 4

    @property
    def used(self) -> int:
        """Frames of a window whose masks are used."""
        return self.window - 2 * self.offset

    @property
    def powers(self) -> tuple[float, float]:
        """What masks are taken to the power of: within the lowest band, and above it."""
        more = 2 * self.aggressiveness
        if more and not self.accompaniment:  # none at all is none for either; as published
            more = 1 - more
        return 1 + more / 3, 1 + more


class VRNet(nn.Module):
    """Separates a mixture into what the network looks for and the rest.

    Takes mixtures of any length; memory grows with it, but layers see a window at once.

    Args:
        config: Sizes and sources; None: those of the published network for accompaniment.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.bands = MultiBand(config.bands, by_band=config.recurrence > 0)
        hop, rate = config.bands.hop_length, config.bands.sample_rate
        segment = (config.windows * config.used + 2 * config.offset) * hop
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=rate,
            channels=CHANNELS,
            segment=segment,
            context=config.offset * hop,
            longest=max(segment, _LONGEST * rate),
        )
        self.cascade = (
            RecurrentCascade(config.channels, config.bands.bins, config.recurrence)
            if config.recurrence
            else FirstCascade(config.channels, config.levels, config.views)
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of what is looked for and of the rest.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """The way from a mixture to estimates, with the layers given: spectra, windows, masks.

        Args:
            inner: As `inner`, or what a runtime made of it.
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.
        """
        require_mixture(mixture, "VR", CHANNELS)
        # Half precision is for the layers; spectra need float32 at least.
        dtype = next(self.parameters()).dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32))
        spectrum, above = self.bands.analyse(signal)  # (B, C, F, N)
        magnitudes = spectrum.abs()
        peak = magnitudes.amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(magnitudes.dtype).tiny)
        mask = self._sharpened(self._masks(inner, (magnitudes / peak).to(dtype)).to(magnitudes.dtype))
        found = torch.stack([mask * spectrum, (1 - mask) * spectrum], 1)  # (B, S, C, F, N)
        mirrored = above[:, None] if self.config.mirror else None
        return self.bands.synthesise(found, mixture.shape[-1], mirrored).to(mixture.dtype)

    def inner(self, magnitudes: Tensor) -> tuple[Tensor, ...]:
        """The mask of a window: the layers alone.

        Args:
            magnitudes: `(B, C, F, N)`, of which the loudest of the segment is 1; F one more than the layout
                has bins, N of a window.

        Returns:
            The mask, same shape.
        """
        mask = self.cascade(magnitudes[:, :, :-1])
        return (torch.cat([mask, mask[:, :, -1:]], 2),)

    def _masks(self, inner: Inner, magnitudes: Tensor) -> Tensor:
        """Masks of all frames from windows side by side, `(B, C, F, N)`.

        The first and the last window's ends are used where no other has better, and the last frame, which
        half a hop of silence follows, may have to do with its neighbour's mask.
        """
        window, offset, used = self.config.window, self.config.offset, self.config.used
        frames = magnitudes.shape[-1]
        count = max(1, -(-(frames - 1 - 2 * offset) // used))
        padded = F.pad(magnitudes, (0, max(0, (count - 1) * used + window - frames)))
        masks = [inner(padded[..., start : start + window])[0] for start in range(0, count * used, used)]
        middles = [mask[..., offset : offset + used] for mask in masks]
        whole = torch.cat([masks[0][..., :offset], *middles, masks[-1][..., offset + used :]], -1)
        return torch.cat([whole, whole[..., -1:]], -1)[..., :frames]

    def _sharpened(self, mask: Tensor) -> Tensor:
        """Masks `(B, C, F, N)` that favour one side, as aggressively as the configuration says."""
        within, beyond = self.config.powers
        split = self.config.bands.bands[0].crop[1]
        return torch.cat([mask[:, :, :split] ** within, mask[:, :, split:] ** beyond], 2)
