"""Conformer: a frame is a token, and each becomes a complex mask for every source and channel.

Paper    none; the network is the community's. Its blocks are Gulati et al., "Conformer: convolution-augmented
         transformer for speech recognition", Interspeech 2020.
Weights  parameter names are those of the published code.
Differs  nothing is dropped in training: the published blocks are made with probabilities that never reach
         them. Segments shorter than half a frame are lengthened with zeros before they are reflected; the
         published code refuses them.

    spectrum ─┬─ |X| ─ input_proj_stft ─ blocks ─ tanh ─ output_proj ─ × ─ inverse STFT ─ sources
              └────────────────────────────────────────────────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.conformer_block import ConformerBlock
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond what is trained, and small enough that no file can claim a network that takes
# minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**31),
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "channels": (1, 8192),
    "depth": (1, 64),
    "heads": (1, 64),
    "head_channels": (1, 512),
    "expansion": (1, 16),
    "convolution_expansion": (1, 16),
    "kernel_size": (1, 511),
}
_LONGEST = 60  # seconds that may be given at once; attention takes time by the square of it


@dataclass(frozen=True, slots=True)
class Config:
    """What a Conformer is made from; the defaults are those of the published code, which has no segment.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Samples that the network is given at once.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        channels: Of a token.
        depth: How many blocks.
        heads: Of an attention.
        head_channels: Of a head.
        expansion: By how much feed-forward layers are wider within.
        convolution_expansion: By how much convolutions are.
        kernel_size: Frames that a convolution sees.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 264_600
    n_fft: int = 4096
    hop_length: int = 1024
    channels: int = 512
    depth: int = 8
    heads: int = 8
    head_channels: int = 64
    expansion: int = 4
    convolution_expansion: int = 2
    kernel_size: int = 31

    def __post_init__(self) -> None:
        if found := out_of_range(self, self.sources, _RANGES):
            raise ConfigError(f"this makes no Conformer: {'; '.join(found)}")
        _ = self.stft  # says what is wrong with a frame or a hop

    @property
    def stft(self) -> Stft:
        """The transform around the network."""
        return Stft(self.n_fft, self.hop_length)


class Blocks(nn.Module):
    """Conformer blocks, one behind the other.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConformerBlock(
                config.channels,
                heads=config.heads,
                head_channels=config.head_channels,
                expansion=config.expansion,
                convolution_expansion=config.convolution_expansion,
                kernel_size=config.kernel_size,
            )
            for _ in range(config.depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, channels)`, same shape."""
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens


class Core(nn.Module):
    """From magnitudes to masks.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.shape = (2, len(config.sources), config.audio_channels, config.n_fft // 2 + 1)
        bins = config.audio_channels * (config.n_fft // 2 + 1)
        self.input_proj_stft = nn.Linear(bins, config.channels)
        self.model = Blocks(config)
        self.output_proj = nn.Linear(config.channels, 2 * len(config.sources) * bins)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Magnitudes `(B, N, C, F)` as real and imaginary parts of masks, `(B, N, 2, S, C, F)`."""
        tokens = self.model(self.input_proj_stft(magnitudes.flatten(2)))
        masks: Tensor = self.output_proj(torch.tanh(tokens))
        return torch.unflatten(masks, -1, self.shape)


class Conformer(nn.Module):
    """Separates a mixture by a complex mask for each source. Takes mixtures of any length.

    Args:
        config: Sizes and sources; None: those of the published code.
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
        self.core = Core(config)

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
        require_mixture(mixture, "a Conformer", self.config.audio_channels)
        dtype = self.core.output_proj.weight.dtype
        spectrum = self.stft(mixture.to(torch.promote_types(dtype, torch.float32)))  # (B, C, F, N)
        (parts,) = inner(spectrum.abs().permute(0, 3, 1, 2).to(dtype))
        real, imaginary = parts.to(spectrum.real.dtype).permute(2, 0, 3, 4, 5, 1)  # (B, S, C, F, N) each
        estimates = self.stft.inverse(torch.complex(real, imaginary) * spectrum[:, None], mixture.shape[-1])
        return estimates.to(mixture.dtype)

    def inner(self, magnitudes: Tensor) -> tuple[Tensor, ...]:
        """The layers: from magnitudes `(B, N, C, F)` to parts of the masks `(B, N, 2, S, C, F)`."""
        return (self.core(magnitudes),)
