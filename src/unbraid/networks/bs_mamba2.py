"""BS-Mamba2: a BS-RoFormer whose transformers are state spaces that listen in both directions.

Paper    none; the network is the community's. Its parts are Lu, Wang, Kong, Hung, "Music source separation
         with band-split RoPE transformer", ICASSP 2024, and Dao and Gu, "Transformers are SSMs", ICML 2024.
Weights  parameter names are those of the published checkpoint.
Differs  segments shorter than half a frame are lengthened with zeros before they are reflected; the published
         code refuses them.

    spectrum ─┬─ bands ─ ( along time ─ along bands ) × depth ─ norm ─ masks ─ × ─ sources
              └────────────────────────────────────────────────────────────────┘

B batch · S source · C channel · T time · F bin · N frame · K band · D channel of a token
W real and imaginary parts of all channels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Scaling, Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.band_split import (
    ROPE_BANDS,
    BandSplit,
    MaskEstimator,
    masked,
    neighbours,
    parts_of,
)
from unbraid.networks.layers.norm import RMSNorm
from unbraid.networks.layers.state_space import LevelNorm, Mamba2
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published model, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**31),
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "channels": (1, 4096),
    "depth": (1, 64),
    "state_size": (1, 1024),
    "expansion": (1, 16),
    "head_size": (1, 512),
    "mask_layers": (0, 8),
    "mask_expansion": (1, 16),
}
_MOST_BANDS = 1024
_MOST_LAYERS = 2**15  # of all masks
_LONGEST = 60  # seconds that may be given at once; memory grows with them


@dataclass(frozen=True, slots=True)
class Config:
    """What a BS-Mamba2 is made from; the defaults are the published network for vocals.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Samples that the network is given at once.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        normalized: Whether a spectrum is divided by √n_fft.
        bands: Bins of each band, from the lowest; together n_fft / 2 + 1.
        channels: Of a token.
        depth: Layers, each along time and along bands.
        state_size: Of what each channel of a state space remembers.
        expansion: How many times as many channels it has as a token.
        head_size: Channels of one of its heads.
        mask_layers: Hidden layers between a band's token and its mask.
        mask_expansion: By how much these are wider than a token.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals",)
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 352_800
    n_fft: int = 2048
    hop_length: int = 441
    normalized: bool = False
    bands: tuple[int, ...] = ROPE_BANDS
    channels: int = 256
    depth: int = 6
    state_size: int = 128
    expansion: int = 4
    head_size: int = 64
    mask_layers: int = 1
    mask_expansion: int = 4

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no BS-Mamba2: {'; '.join(found)}")
        _ = self.stft  # says what is wrong with a frame or a hop

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        bins = self.n_fft // 2 + 1
        masks = len(self.sources) * len(self.bands) * (self.mask_layers + 1)
        faults = {
            "head_size must divide expansion × channels": self.expansion * self.channels % self.head_size
            != 0,
            f"bands must be at most {_MOST_BANDS}, each of one bin or more": not 0
            < len(self.bands)
            <= _MOST_BANDS
            or min(self.bands) < 1,
            f"bands must hold {bins} bins together, which n_fft makes, not {sum(self.bands)}": sum(self.bands)
            != bins,
            "sources, bands and mask_layers make too many masks": masks > _MOST_LAYERS,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def stft(self) -> Stft:
        """The transform around the network."""
        scaling = Scaling.UNITARY if self.normalized else Scaling.PLAIN
        return Stft(self.n_fft, self.hop_length, scaling=scaling)


class Block(nn.Module):
    """Adds to a sequence what a state space hears in it, from its beginning to its end.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = LevelNorm(config.channels)
        self.mixer = Mamba2(
            config.channels,
            state_size=config.state_size,
            expansion=config.expansion,
            head_size=config.head_size,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)`, same shape."""
        heard: Tensor = self.mixer(self.norm(tokens))
        return tokens + heard


class MambaBlock(nn.Module):
    """Adds to a sequence what is heard in it forwards and backwards.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.forward_blocks = nn.ModuleList([Block(config)])
        self.backward_blocks = nn.ModuleList([Block(config)])
        self.linear = nn.ConvTranspose1d(2 * config.channels, config.channels, 1)  # of one token each

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)`, same shape."""
        ahead = self.forward_blocks[0](tokens)
        back = self.backward_blocks[0](tokens.flip(1)).flip(1)
        both = torch.cat([ahead, back], -1)
        return tokens + F.linear(both, self.linear.weight[..., 0].T, self.linear.bias)


class BSMamba2(nn.Module):
    """Separates a mixture by a complex mask for each source. Takes mixtures of any length.

    Args:
        config: Sizes and sources; None: those of the published network for vocals.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.stft = config.stft
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment,
            longest=max(config.segment, _LONGEST * config.sample_rate),
        )
        bands, width = neighbours(config.bands), 2 * config.audio_channels
        self.band_split = BandSplit(bands, width, config.channels)
        self.layers = nn.ModuleList(
            nn.ModuleList([MambaBlock(config), MambaBlock(config)]) for _ in range(config.depth)
        )
        self.final_norm = RMSNorm(config.channels)
        self.mask_estimators = nn.ModuleList(
            MaskEstimator(
                bands,
                width,
                config.channels,
                hidden_layers=config.mask_layers,
                hidden_channels=config.mask_expansion * config.channels,
            )
            for _ in config.sources
        )

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
        """What stands before and after the layers; spectra are in float32 at least.

        Args:
            inner: `self.inner`, or what computes the same.
            mixture: As for `forward`.
        """
        require_mixture(mixture, "BS-Mamba2", self.config.audio_channels)
        dtype = self.final_norm.gamma.dtype
        spectrum = self.stft(mixture.to(torch.promote_types(dtype, torch.float32)))
        (masks,) = inner(parts_of(spectrum).to(dtype))
        estimates = [
            self.stft.inverse(masked(spectrum, mask, zero_dc=False), mixture.shape[-1])
            for mask in masks.unbind(1)
        ]
        return torch.stack(estimates, dim=1).to(mixture.dtype)

    def inner(self, features: Tensor) -> tuple[Tensor, ...]:
        """The layers: from the mixture's spectrum `(B, N, F, W)` to the masks `(B, S, N, F, W)`."""
        tokens = self.band_split(features)  # (B, N, K, D)
        for layer in self.layers:
            for direction in cast("nn.ModuleList", layer):  # along time, then along bands
                tokens = _along_rows(direction, tokens.transpose(1, 2))
        tokens = self.final_norm(tokens)
        return (torch.stack([estimator(tokens) for estimator in self.mask_estimators], dim=1),)


def _along_rows(layer: nn.Module, tokens: Tensor) -> Tensor:
    """A layer along the third axis of tokens `(B, N or K, K or N, D)`."""
    heard: Tensor = layer(tokens.flatten(0, 1))
    return heard.view(tokens.shape)
