"""TS-BSMamba2: masks first, then what masks cannot reach is added; both by state spaces over narrow bands.

Paper    "TS-BSMamba2: a two-stage band-split Mamba-2 network for music separation", 2024 (arXiv 2409.06245).
Weights  parameter names are those of the published code.
Differs  numbers that a mask makes of a band are read in the published order, in which sources do not stand by
         the groups of convolutions that made them. Tokens stand still, and channels are their last axis.

    spectrum ─┬─ BN_mask ─ separator_mask ─┬─ mask ─ × spectrum ─ + ─ estimates
              └─ BN_map ── in_conv ────────┴─ separator_map ─ map ┘

Channels of a mixture are separated alike, and hear of each other's mean.

B batch · S source · C channel · T time · F bin · N frame · K band · D channel of a token
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.norm import TokenNorm
from unbraid.networks.layers.state_space import Mamba2
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
    "n_fft": (4, 32_768),
    "hop_length": (1, 16_384),
    "channels": (1, 1024),
    "mask_layers": (1, 64),
    "map_layers": (1, 64),
    "state_size": (1, 1024),
    "expansion": (1, 16),
    "head_size": (1, 512),
}
_LONGEST = 60  # seconds that may be given at once; memory grows with them
_EPS = torch.finfo(torch.float32).eps  # of all norms, as published
# How many bands of how many Hz, from the lowest; a last one has what is above 20 kHz. As published.
_BANDS = ((20, 50), (10, 100), (8, 250), (8, 500), (8, 1000), (2, 2000))


@dataclass(frozen=True, slots=True)
class Config:
    """What a TS-BSMamba2 is made from; the defaults are the published network for four sources.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz; it decides the bands, too.
        segment: Samples that the network is given at once.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        channels: Of a token.
        mask_layers: Before the masks.
        map_layers: After these, before what is added.
        state_size: Of what each channel of a state space remembers.
        expansion: How many times as many channels it has as a token.
        head_size: Channels of one of its heads.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "bass", "drums", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 132_300
    n_fft: int = 2048
    hop_length: int = 512
    channels: int = 128
    mask_layers: int = 8
    map_layers: int = 4
    state_size: int = 128
    expansion: int = 4
    head_size: int = 64

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no TS-BSMamba2: {'; '.join(found)}")
        _ = self.stft  # says what is wrong with a frame or a hop

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "head_size must divide expansion × channels": self.expansion * self.channels % self.head_size
            != 0,
            "50 Hz must be a bin at least, and half of sample_rate must be above 20 kHz": min(self.bands) < 1,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def bands(self) -> tuple[int, ...]:
        """Bins of each band, from the lowest."""
        bins, highest = self.n_fft // 2 + 1, self.sample_rate / 2
        widths = [int(width / highest * bins) for count, width in _BANDS for _ in range(count)]
        return (*widths, bins - sum(widths))

    @property
    def stft(self) -> Stft:
        """The transform around the network."""
        return Stft(self.n_fft, self.hop_length)


class Pointwise(nn.Conv1d):
    """A linear layer, token by token, whose weights are those of a convolution.

    Args:
        source: Channels of a token.
        target: Channels of what it becomes.
        groups: Parts of a token that do not hear of each other.
    """

    def __init__(self, source: int, target: int, groups: int = 1) -> None:
        super().__init__(source, target, 1, groups=groups)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(..., source)` as `(..., target)`."""
        if self.groups == 1:
            return F.linear(tokens, self.weight[..., 0], self.bias)
        weight = torch.unflatten(self.weight[..., 0], 0, (self.groups, -1)).transpose(
            1, 2
        )  # (groups, in, out)
        parts = tokens.reshape(-1, self.groups, weight.shape[1]).transpose(0, 1)
        product = torch.bmm(parts, weight).transpose(0, 1).reshape(*tokens.shape[:-1], -1)
        return product if self.bias is None else product + self.bias


class BothWays(nn.Module):
    """A sequence as heard forwards, beside it as heard backwards.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.forward_mamba2, self.backward_mamba2 = (
            Mamba2(
                config.channels,
                state_size=config.state_size,
                expansion=config.expansion,
                head_size=config.head_size,
            )
            for _ in range(2)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)` as `(B, N, 2D)`."""
        ahead = self.forward_mamba2(tokens)
        back = self.backward_mamba2(tokens.flip(1)).flip(1)
        return torch.cat([ahead + tokens, back + tokens], -1)


class ResidualMamba(nn.Module):
    """Adds to a sequence what is heard in it in both directions.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = TokenNorm(config.channels, _EPS)
        self.rnn = BothWays(config)
        self.proj = nn.Linear(2 * config.channels, config.channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(..., N, D)`, along N; same shape."""
        heard: Tensor = self.proj(self.rnn(self.norm(tokens.flatten(0, -3))))
        return tokens + heard.view(tokens.shape)


class ChannelMean(nn.Module):
    """Transform, average, concatenate: each channel hears of the mean of all.

    Args:
        channels: Of a token.

    Source: Luo, Chen, Mesgarani, Yoshioka, "End-to-end microphone permutation and number invariant
    multi-channel speech separation", ICASSP 2020.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 3 * channels
        self.input_norm = TokenNorm(channels, _EPS)
        self.TAC_input = nn.Sequential(nn.Linear(channels, hidden), nn.Tanh())
        self.TAC_mean = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh())
        self.TAC_output = nn.Sequential(nn.Linear(2 * hidden, channels), nn.Tanh())

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, C, K, N, D)`, same shape."""
        own = self.TAC_input(self.input_norm(tokens.flatten(0, 2)).view(tokens.shape))
        shared = self.TAC_mean(own.mean(1, keepdim=True)).expand_as(own)
        heard: Tensor = self.TAC_output(torch.cat([own, shared], -1))
        return tokens + heard


class Layer(nn.Module):
    """Goes along time, along bands, and from channel to channel.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.band_rnn = ResidualMamba(config)
        self.band_comm = ResidualMamba(config)
        self.channel_comm = ChannelMean(config.channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, C, K, N, D)`, same shape."""
        tokens = self.band_rnn(tokens)
        tokens = self.band_comm(tokens.transpose(2, 3)).transpose(2, 3)
        heard: Tensor = self.channel_comm(tokens)
        return heard


class TSBSMamba2(nn.Module):
    """Separates a mixture by complex masks and what they leave. Takes mixtures of any length.

    Args:
        config: Sizes and sources; None: those of the published network for four sources.
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
        self.edges = list(itertools.pairwise(itertools.accumulate(config.bands, initial=0)))
        self.BN_mask = nn.ModuleList(_encoder(width, config) for width in config.bands)
        self.BN_map = nn.ModuleList(_encoder(width, config) for width in config.bands)
        self.separator_mask = nn.Sequential(*(Layer(config) for _ in range(config.mask_layers)))
        self.separator_map = nn.Sequential(*(Layer(config) for _ in range(config.map_layers)))
        self.in_conv = Pointwise(2 * config.channels, config.channels)
        self.mask = nn.ModuleList(_decoder(width, config) for width in config.bands)
        self.map = nn.ModuleList(_decoder(width, config) for width in config.bands)

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
        require_mixture(mixture, "TS-BSMamba2", self.config.audio_channels)
        dtype = self.in_conv.weight.dtype
        spectrum = self.stft(mixture.to(torch.promote_types(dtype, torch.float32)))  # (B, C, F, N)
        parts = torch.view_as_real(spectrum).permute(0, 1, 3, 4, 2)
        masks, rests = (_complex(part, spectrum) for part in inner(parts.to(dtype)))
        estimates = self.stft.inverse(masks * spectrum[:, None] + rests, mixture.shape[-1])
        return estimates.to(mixture.dtype)

    def inner(self, parts: Tensor) -> tuple[Tensor, ...]:
        """The layers.

        Args:
            parts: Real and imaginary parts of the mixture's spectrum, `(B, C, N, 2, F)`.

        Returns:
            Masks, which are one in sum over the sources, and what is added to what they leave of the
            spectrum; real and imaginary parts, `(B, C, N, 2, S, F)`.
        """
        first = self.separator_mask(self._encoded(self.BN_mask, parts))
        both = torch.cat([self._encoded(self.BN_map, parts), first], -1)
        second = self.separator_map(torch.tanh(self.in_conv(both)))
        masks, rests = self._decoded(self.mask, first), self._decoded(self.map, second)
        whole = masks.new_tensor([1.0, 0.0])[:, None, None]
        return masks - (masks.sum(-2, keepdim=True) - whole) / masks.shape[-2], rests

    def _encoded(self, encoders: nn.ModuleList, parts: Tensor) -> Tensor:
        """Tokens `(B, C, K, N, D)` of parts `(B, C, N, 2, F)`."""
        rows = parts.flatten(0, 1)
        bands = zip(self.edges, encoders, strict=True)
        tokens = [encoder(rows[..., start:end].flatten(2)) for (start, end), encoder in bands]
        return torch.unflatten(torch.stack(tokens, 1), 0, parts.shape[:2])

    def _decoded(self, decoders: nn.ModuleList, tokens: Tensor) -> Tensor:
        """Parts `(B, C, N, 2, S, F)` of tokens `(B, C, K, N, D)`."""
        rows = tokens.flatten(0, 1).unbind(1)
        sources = len(self.config.sources)
        parts = [
            torch.unflatten(F.glu(decoder(row), -1), -1, (2, sources, -1))
            for decoder, row in zip(decoders, rows, strict=True)
        ]
        return torch.unflatten(torch.cat(parts, -1), 0, tokens.shape[:2])


def _encoder(width: int, config: Config) -> nn.Sequential:
    """From a band's bins to its token."""
    return nn.Sequential(TokenNorm(2 * width, _EPS), Pointwise(2 * width, config.channels))


def _decoder(width: int, config: Config) -> nn.Sequential:
    """From a band's token to numbers for all its bins and sources, with a gate for each."""
    sources = len(config.sources)
    inner = sources * config.channels
    return nn.Sequential(
        TokenNorm(config.channels, _EPS),
        Pointwise(config.channels, inner),
        nn.Tanh(),
        Pointwise(inner, inner, sources),
        nn.Tanh(),
        Pointwise(inner, 4 * width * sources, sources),
    )


def _complex(parts: Tensor, like: Tensor) -> Tensor:
    """Complex numbers `(B, S, C, F, N)` of parts `(B, C, N, 2, S, F)`."""
    ordered = parts.to(like.real.dtype).permute(0, 4, 1, 5, 2, 3).contiguous()
    return torch.view_as_complex(ordered)
