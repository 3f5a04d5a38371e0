"""LaSAFT: one U-Net over complex spectrograms for all sources, told by a vector which source is wanted.

Paper    Choi, Kim, Chung, Jung, "LaSAFT: latent source attentive frequency transformation for conditioned
         source separation", ICASSP 2021.
Weights  parameter names are those of the published checkpoints.
Differs  what all sources have in common, the outermost block up to its attention, is computed once; the
         published code runs the network anew for each source.

    mixture ─ first_conv ─ encoder ─ ÷2 ─ encoder ─ ÷2 ─ … ─ mid_block ─ … ─ ×2 ─ decoder ─ last_conv ─ source
                              │             └─────────── skip ───────────┘            │
                              └──────────────────── skip ─────────────────────────────┘
    source wanted ─ embedding ─┬─ attention of every block, over latent sources
                               └─ condition_generator ─ gates of the decoders

B batch · S source · C channel · N frame · F bin · L latent source · T time
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

FREE_FIELDS = frozenset({"sources", "trimmed_frames"})

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (16, 65536),
    "hop_length": (1, 32768),
    "frames": (2, 65536),
    "trimmed_frames": (0, 1000),
    "blocks": (3, 33),
    "channels": (1, 1024),
    "block_layers": (1, 64),
    "kernel_size": (1, 63),
    "bottleneck_factor": (1, 65536),
    "least_bottleneck": (1, 65536),
    "latent_sources": (1, 64),
    "key_size": (1, 4096),
    "embedding_size": (1, 1024),
    "control_layers": (1, 6),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What a LaSAFT network is made from; the defaults are the published large one.

    Args:
        sources: Names of the sources, in the order of their embeddings and of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        frames: That the network is given at once.
        trimmed_frames: Hops at each edge of these that are computed but not trusted.
        blocks: How many, odd: half of them go down, one is in the middle, half of them go up.
        channels: Of every block.
        block_layers: Convolutions of a block.
        kernel_size: Of these, odd.
        bottleneck_factor: By which a block's transformation of frequency is narrowed.
        least_bottleneck: Features that it is left at least.
        latent_sources: Transformations of frequency that a block has to choose from.
        key_size: Features by which it chooses.
        embedding_size: Of the vector that says which source is wanted.
        control_layers: Widths of that vector on its way to the gates, each twice the one before.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    frames: int = 128
    trimmed_frames: int = 5
    blocks: int = 9
    channels: int = 24
    block_layers: int = 5
    kernel_size: int = 3
    bottleneck_factor: int = 16
    least_bottleneck: int = 16
    latent_sources: int = 6
    key_size: int = 32
    embedding_size: int = 64
    control_layers: int = 4

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no LaSAFT network: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "blocks and kernel_size must be odd": self.blocks * self.kernel_size % 2 == 0,
            "frames and half of n_fft must be multiples of 2^(blocks // 2)": self.frames % 2**self.depth != 0
            or self.n_fft // 2 % 2**self.depth != 0,
            "there must be two sources or more to choose from": len(self.sources) < 2,
            "frames must be more than twice trimmed_frames": self.frames - 1 <= 2 * self.trimmed_frames,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def depth(self) -> int:
        """How often frames and bins are halved."""
        return self.blocks // 2


class Dense(nn.Module):
    """Convolutions of which each hears the outputs of all before it.

    Args:
        source: Channels in.
        channels: Out of each layer.
        layers: How many.
        kernel: In time and in frequency, odd.
    """

    def __init__(self, source: int, channels: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.H = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(source + index * channels, channels, kernel, padding=kernel // 2),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`; of the last layer alone."""
        y: Tensor = self.H[0](x)
        for layer in self.H[1:]:
            x = torch.cat([y, x], dim=1)
            y = layer(x)
        return y


class Transforms(nn.Module):
    """Transformations of frequency, one for each latent source, the same for all frames.

    Args:
        bins: In and out.
        config: How many there are, and how narrow.
    """

    def __init__(self, bins: int, config: Config) -> None:
        super().__init__()
        self.latent = config.latent_sources
        width = bins * self.latent
        narrow = max(width // config.bottleneck_factor, config.least_bottleneck)
        self.tdf = nn.Sequential(
            nn.Linear(bins, narrow, bias=False),
            nn.BatchNorm2d(config.channels),
            nn.ReLU(inplace=True),
            nn.Linear(narrow, width, bias=False),
            nn.BatchNorm2d(config.channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` as all latent sources have them, `(B, C, N, F, L)`."""
        y: Tensor = self.tdf(x)
        return y.view(*x.shape, self.latent)


class Block(nn.Module):
    """Dense convolutions, and transformations of frequency among which the wanted source chooses.

    Args:
        source: Channels in.
        bins: In and out.
        config: The network's.
    """

    def __init__(self, source: int, bins: int, config: Config) -> None:
        super().__init__()
        self.tfc = Dense(source, config.channels, config.block_layers, config.kernel_size)
        self.tdfs = Transforms(bins, config)
        self.keys = nn.Parameter(_normal(config.key_size, config.latent_sources))
        self.linear_query = nn.Linear(config.embedding_size, config.key_size)

    def attention(self, embedding: Tensor) -> Tensor:
        """How much of each latent source belongs to the wanted ones, `(S, L)`, of embeddings `(S, E)`."""
        likeness = self.linear_query(embedding) @ self.keys
        return torch.softmax(likeness / len(self.keys) ** 0.5, dim=-1)

    def forward(self, x: Tensor, attention: Tensor, gate: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Features of one source.

        Args:
            x: `(B, C, N, F)`.
            attention: `(L,)`.
            gate: Weights `(C, C, 1, 1)` and biases `(C,)` of what the features are multiplied by.
        """
        x = self.tfc(x)
        if gate is not None:
            x = x * torch.sigmoid(F.conv2d(x, *gate))
        return torch.add(x, self.tdfs(x) @ attention)


class Control(nn.Module):
    """From the wanted source to the gates of all decoders.

    Args:
        config: The network's.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.channels = config.channels
        widths = [config.embedding_size * 2**layer for layer in range(config.control_layers)]
        layers: list[nn.Module] = []
        for index, (source, target) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Linear(source, target), nn.ReLU()]
            if index:
                layers += [nn.Dropout(), nn.BatchNorm1d(target)]
        self.dense_control_block = nn.ModuleDict({"linear": nn.Sequential(*layers)})
        self.linear_gamma = _normed(widths[-1], config.depth * config.channels**2)
        self.linear_beta = _normed(widths[-1], config.depth * config.channels)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Weights `(S, D, C, C, 1, 1)` and biases `(S, D, C)` for D decoders, of embeddings `(S, E)`."""
        control = self.dense_control_block["linear"](embedding)
        gammas = self.linear_gamma(control).view(len(control), -1, self.channels, self.channels)
        betas = self.linear_beta(control).view(len(control), -1, self.channels)
        return gammas.transpose(-1, -2)[..., None, None], betas  # published gammas stand (in, out)


def _normal(*shape: int) -> Tensor:
    # Always drawn on the CPU: on the meta device torch would import a second's worth of tracing.
    return torch.randn(shape, device="cpu").to(torch.get_default_device())


def _normed(source: int, target: int) -> nn.Sequential:
    # The identity in between is an activation in the published names.
    return nn.Sequential(nn.Linear(source, target), nn.Identity(), nn.BatchNorm1d(target, affine=False))


class LaSAFT(nn.Module):
    """Separates a mixture on its complex spectrogram, one source after the other.

    The network takes mixtures of exactly its segment; a shorter one is lengthened with zeros, a longer one
    refused.

    Args:
        config: Sizes and sources; None: those of the published large network.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.stft = Stft(config.n_fft, config.hop_length)
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.hop_length * (config.frames - 1),
            fixed=True,
            context=config.hop_length * config.trimmed_frames,
        )
        features, channels, depth = 2 * config.audio_channels, config.channels, config.depth
        bins = [config.n_fft // 2 // 2**level for level in range(depth + 1)]
        vectors = len(config.sources), config.embedding_size
        self.embedding = nn.Embedding(vectors[0], vectors[1], _weight=_normal(*vectors))
        self.condition_generator = Control(config)
        self.first_conv = nn.Sequential(
            nn.Conv2d(features, channels, (1, 2)), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.encoders = nn.ModuleList(Block(channels, size, config) for size in bins[:-1])
        self.downsamplings = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 2, 2), nn.BatchNorm2d(channels)) for _ in range(depth)
        )
        self.mid_block = Block(channels, bins[-1], config)
        self.upsamplings = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(channels, channels, 2, 2), nn.BatchNorm2d(channels))
            for _ in range(depth)
        )
        self.decoders = nn.ModuleList(Block(2 * channels, size, config) for size in reversed(bins[:-1]))
        self.last_conv = nn.Sequential(nn.Conv2d(channels, features, (1, 2), padding=(0, 1)))

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, T at most the segment.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or is too long.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra are made here."""
        dtype, length = self.embedding.weight.dtype, mixture.shape[-1]
        signal = self._fitted(mixture).to(torch.promote_types(dtype, torch.float32))
        spectrum = self.stft(signal).mT  # (B, C, N, F)
        features = torch.cat([spectrum.real, spectrum.imag], dim=1)
        estimates = []
        for parts in inner(features.to(dtype))[0].unbind(1):
            real, imaginary = parts.to(signal.dtype).mT.chunk(2, dim=1)  # (B, C, F, N)
            estimates.append(self.stft.inverse(torch.complex(real, imaginary), length))
        return torch.stack(estimates, dim=1).to(mixture.dtype)

    def inner(self, features: Tensor) -> tuple[Tensor]:
        """Features of the sources, as the only value."""
        return (self.separated(features),)

    def separated(self, features: Tensor) -> Tensor:
        """The network itself.

        Args:
            features: Real parts of all channels, then imaginary parts, `(B, 2C, N, F)`; N a multiple of
                2^depth.

        Returns:
            The same of each source, `(B, S, 2C, N, F)`.
        """
        embedding = self.embedding.weight
        gates = self.condition_generator(embedding)
        blocks = [cast("Block", block) for block in (*self.encoders, self.mid_block, *self.decoders)]
        attentions = [block.attention(embedding) for block in blocks]
        outermost = blocks[0]
        x = outermost.tfc(self.first_conv(features))
        latent = outermost.tdfs(x)
        return torch.stack(
            [
                self._source(
                    torch.add(x, latent @ attentions[0][source]),
                    [attention[source] for attention in attentions[1:]],
                    [(gamma, beta) for gamma, beta in zip(*(part[source] for part in gates), strict=True)],
                )
                for source in range(len(embedding))
            ],
            dim=1,
        )

    def _source(self, x: Tensor, attentions: list[Tensor], gates: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One source's features `(B, 2C, N, F)` from those of the outermost block."""
        depth, skips = self.config.depth, [x]
        for level in range(1, depth):
            x = self.encoders[level](self.downsamplings[level - 1](x), attentions[level - 1])
            skips.append(x)
        x = self.mid_block(self.downsamplings[-1](x), attentions[depth - 1])
        for level in range(depth):
            x = torch.cat([self.upsamplings[level](x), skips.pop()], dim=1)
            x = self.decoders[level](x, attentions[depth + level], gates[level])
        out: Tensor = self.last_conv(x)
        return out

    def _fitted(self, mixture: Tensor) -> Tensor:
        """The mixture at the length of a segment."""
        channels, segment, length = self.spec.channels, self.spec.segment, mixture.shape[-1]
        require_mixture(mixture, "LaSAFT", channels, least=0)
        if length > segment:
            raise ShapeError(
                f"the mixture has {length} samples; LaSAFT takes at most {segment} at once, "
                "longer ones are cut into segments by the engine"
            )
        return F.pad(mixture, (0, segment - length))
