"""MDX23C: a TFC-TDF U-Net, third version, over a spectrum folded into sub-bands; one network for all sources.

Paper    Kim, Lee, Jung, "Sound demixing challenge 2023 music demixing track technical report:
         TFC-TDF-UNet v3", 2023.
Weights  parameter names are those of the published checkpoints.
Differs  a mixture shorter than a segment is filled up with silence, for the norms look at all of it.

    mixture ─ fold ─┬─ first_conv ─┬─ blocks ─ ÷2 ─ … ─ bottleneck ─ … ─ ×2 ─ blocks ─ × ─ final_conv ─ unfold
                    │              │    └────────────── skip ──────────────────┘       │       │
                    │              └───────────────────────────────────────────────────┘       │
                    └──────────────────────────────────────────────────────────────────────────┘

Features are real and imaginary parts of all channels, as channels; bins above those looked at are silent in
the estimates. Folding puts the sub-bands beside each other as channels: one kernel sees all of them at once.

B batch · S source · C channel · T time · F bin · N frame · K sub-band
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.complex_parts import parts_of, spectrum_of
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 16),
    "sample_rate": (1, 768_000),
    "n_fft": (2, 65_536),
    "hop_length": (1, 32_768),
    "bins": (1, 32_769),
    "frames": (2, 65_536),
    "subbands": (1, 256),
    "channels": (1, 1024),
    "growth": (0, 1024),
    "levels": (0, 10),
    "blocks": (1, 16),
    "bottleneck": (1, 256),
}
_STEEPEST = 8  # greatest factor between two levels

# Fields that change no weight.
FREE_FIELDS = frozenset({"sources", "frames"})


@dataclass(frozen=True, slots=True)
class Config:
    """What an MDX23C network is made from; the defaults are the published one for four sources.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        bins: How many bins, from the lowest, are looked at and estimated.
        frames: Of a segment.
        subbands: That the bins are folded into.
        channels: Of the finest level.
        growth: That each further level has more.
        levels: How often frames and bins become fewer.
        scale: By which factors they do: of frames, of bins.
        blocks: Of each level.
        bottleneck: Factor by which bins become fewer within a block's full layers.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "bass", "drums", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 8192
    hop_length: int = 1024
    bins: int = 4096
    frames: int = 256
    subbands: int = 4
    channels: int = 128
    growth: int = 128
    levels: int = 5
    scale: tuple[int, ...] = (2, 2)
    blocks: int = 2
    bottleneck: int = 4

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._scale() or self._contradictions()
        if found:
            raise ConfigError(f"this makes no MDX23C network: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)

    def _scale(self) -> list[str]:
        if len(self.scale) != 2 or not all(1 <= factor <= _STEEPEST for factor in self.scale):
            return [f"scale must be two factors of 1 to {_STEEPEST}, not {self.scale!s:.40}"]
        return []

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        times, deepest = (factor**self.levels for factor in self.scale)
        faults = {
            f"bins must be at most {self.n_fft // 2 + 1}, which n_fft makes": self.bins > self.n_fft // 2 + 1,
            "bins must be a multiple of subbands · scale^levels": self.bins % (self.subbands * deepest) != 0,
            "frames must be a multiple of scale^levels": self.frames % times != 0,
            "the deepest level must have more than one point, which norms need":
                self.frames // times * (self.bins // self.subbands // deepest) < 2,
            "bottleneck must be at most the bins of the deepest level":
                self.bottleneck > self.bins // self.subbands // deepest,
            "a segment must be longer than half a frame": self.segment <= self.n_fft // 2,
        }  # fmt: skip
        return [rule for rule, broken in faults.items() if broken]

    @property
    def segment(self) -> int:
        """Samples of a segment."""
        return self.hop_length * (self.frames - 1)


def _normed(channels: int, layer: nn.Module) -> list[nn.Module]:
    """A norm of each channel over each item's own frames and bins, an activation, and a layer."""
    return [nn.InstanceNorm2d(channels, affine=True), nn.GELU(), layer]


class Block(nn.Module):
    """Time-frequency convolutions with full layers across all bins between them, beside a shortcut.

        x ─┬─ 3×3 ─┬─────────────── + ─ 3×3 ─ + ─
           │       └─ F→F/4 ─ F/4→F ┘         │
           └──────────────── 1×1 ─────────────┘

    Args:
        source: Channels in.
        target: Channels out.
        bins: Of the features.
        bottleneck: Factor by which bins become fewer between the full layers.
    """

    def __init__(self, source: int, target: int, bins: int, bottleneck: int) -> None:
        super().__init__()
        narrow = bins // bottleneck
        self.tfc1 = nn.Sequential(*_normed(source, nn.Conv2d(source, target, 3, padding=1, bias=False)))
        self.tdf = nn.Sequential(
            *_normed(target, nn.Linear(bins, narrow, bias=False)),
            *_normed(target, nn.Linear(narrow, bins, bias=False)),
        )
        self.tfc2 = nn.Sequential(*_normed(target, nn.Conv2d(target, target, 3, padding=1, bias=False)))
        self.shortcut = nn.Conv2d(source, target, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` to `(B, C', N, F)`."""
        near = self.tfc1(x)
        out: Tensor = self.tfc2(near + self.tdf(near)) + self.shortcut(x)
        return out


class Blocks(nn.Module):
    """The blocks of a level.

    Args:
        source: Channels in.
        target: Channels out.
        bins: Of the features.
        config: How many blocks there are, and how narrow.
    """

    def __init__(self, source: int, target: int, bins: int, config: Config) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(target if place else source, target, bins, config.bottleneck)
            for place in range(config.blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` to `(B, C', N, F)`."""
        for block in self.blocks:
            x = block(x)
        return x


class Step(nn.Module):
    """What leads from one level to another.

    Args:
        kind: Of its convolution.
        source: Channels in.
        target: Channels out.
        scale: Its kernel and stride, in frames and bins.
    """

    def __init__(
        self, kind: type[nn.Conv2d | nn.ConvTranspose2d], source: int, target: int, scale: tuple[int, ...]
    ) -> None:
        super().__init__()
        kernel = (scale[0], scale[1])
        self.conv = nn.Sequential(*_normed(source, kind(source, target, kernel, kernel, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` to `(B, C', N', F')`."""
        out: Tensor = self.conv(x)
        return out


class Encoder(nn.Module):
    """A level on the way down.

    Args:
        channels: Of the level.
        bins: Of the level.
        config: Of the network.
    """

    def __init__(self, channels: int, bins: int, config: Config) -> None:
        super().__init__()
        self.tfc_tdf = Blocks(channels, channels, bins, config)
        self.downscale = Step(nn.Conv2d, channels, channels + config.growth, config.scale)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(B, C, N, F)` to those of the next level, and those for the skip."""
        skip = self.tfc_tdf(x)
        return self.downscale(skip), skip


class Decoder(nn.Module):
    """A level on the way up.

    Args:
        channels: Of the level.
        bins: Of the level.
        config: Of the network.
    """

    def __init__(self, channels: int, bins: int, config: Config) -> None:
        super().__init__()
        self.upscale = Step(nn.ConvTranspose2d, channels + config.growth, channels, config.scale)
        self.tfc_tdf = Blocks(2 * channels, channels, bins, config)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features from the level below, and `(B, C, N, F)` of the skip, whose shape comes out."""
        out: Tensor = self.tfc_tdf(torch.cat([self.upscale(x), skip], dim=1))
        return out


class MDX23C(nn.Module):
    """Separates a mixture into its sources by one U-Net.

    Takes mixtures of at most a segment.

    Args:
        config: Sizes and sources; None: those of the published network for four sources.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment,
            fixed=True,
        )
        self.stft = Stft(config.n_fft, config.hop_length)
        folded = 2 * config.audio_channels * config.subbands
        levels = [
            (
                config.channels + config.growth * level,
                config.bins // config.subbands // config.scale[1] ** level,
            )
            for level in range(config.levels + 1)
        ]
        self.first_conv = nn.Conv2d(folded, config.channels, 1, bias=False)
        self.encoder_blocks = nn.ModuleList(Encoder(width, bins, config) for width, bins in levels[:-1])
        deepest, bins = levels[-1]
        self.bottleneck_block = Blocks(deepest, deepest, bins, config)
        self.decoder_blocks = nn.ModuleList(
            Decoder(width, bins, config) for width, bins in reversed(levels[:-1])
        )
        self.final_conv = nn.Sequential(
            nn.Conv2d(folded + config.channels, config.channels, 1, bias=False),
            nn.GELU(),
            nn.Conv2d(config.channels, len(config.sources) * folded, 1, bias=False),
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`; T is at most the segment.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, no samples, or is too long.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """What is done to a mixture before the layers, and to what they give.

        Args:
            inner: This network's `inner`, or another that does the same.
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.
        """
        require_mixture(mixture, "MDX23C", self.config.audio_channels)
        length, segment = mixture.shape[-1], self.spec.segment
        if length > segment:
            raise ShapeError(
                f"the mixture has {length} samples; this MDX23C takes at most {segment} at once, longer ones "
                "are cut into segments by the engine"
            )
        # Half precision is for the layers; spectra need float32 at least.
        dtype = self.first_conv.weight.dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32))
        spectrum = self.stft(F.pad(signal, (0, segment - length)))[..., : self.config.bins, :]
        (parts,) = inner(parts_of(spectrum).to(dtype))
        found = spectrum_of(torch.unflatten(parts.to(signal.dtype), 1, (len(self.config.sources), -1)))
        above = self.config.n_fft // 2 + 1 - self.config.bins
        found = F.pad(found, (0, 0, 0, above))  # (B, S, C, F, N)
        return self.stft.inverse(found, length).to(mixture.dtype)

    def inner(self, heard: Tensor) -> tuple[Tensor, ...]:
        """The layers.

        Args:
            heard: The mixture's spectrum, `(B, 2C, F, N)`: of each channel its real, then its imaginary part.

        Returns:
            All sources' spectra, `(B, S · 2C, F, N)`.
        """
        subbands = self.config.subbands
        folded = torch.unflatten(heard, 2, (subbands, -1)).flatten(1, 2)  # (B, 2C·K, F/K, N)
        first = self.first_conv(folded)
        x = first.transpose(2, 3)  # (B, C, N, F/K): full layers read along the last axis
        skips = []
        for encoder in self.encoder_blocks:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.bottleneck_block(x)
        for decoder in self.decoder_blocks:
            x = decoder(x, skips.pop())
        x = x.transpose(2, 3) * first
        x = self.final_conv(torch.cat([folded, x], dim=1))
        return (torch.unflatten(x, 1, (-1, subbands)).flatten(2, 3),)
