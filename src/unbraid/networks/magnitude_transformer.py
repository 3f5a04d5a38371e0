"""Magnitudes by a small U-Net beside a transformer whose tokens are frames: a real-time player's design.

Source   described in words by the makers of a player, without a paper, weights or scores.
Stated   44100 Hz stereo; STFT of 4096 samples each 1024; the 1024 lowest bins, to 11 kHz; 192 frames at once;
         for vocals, drums and bass a U-Net with few skip filters in parallel with a transformer, whose token
         is a linear map of one frame, and which ends with a linear map back to a frame; token size 384, less
         for bass; cross-attention once, between vocals and drums; other from the mixture and the three
         estimates, by a small residual U-Net; magnitudes of estimates sound at the mixture's phase.
Ours     everything else. Magnitudes are unitary, so that music is around 1, and enter as log(1 + x). U-Net:
         five levels of 16 to 96 channels, 3 × 3 kernels, stride 2 both ways, batch norm, leaky ReLU, skips of
         8 filters. Transformer: 6 layers of 8 heads (3 of size 192 for bass), pre-norm, GELU, feed-forward 4
         times as wide, sinusoidal positions; vocals and drums meet after half of their layers. A source's
         U-Net and transformer are added, then either make a mask between 0 and 1, or a magnitude by a
         softplus. Other is what the three leave, corrected. Above the highest bin each source has the gain
         of its topmost bins, or nothing. A Wiener filter may follow.

                     ┌─ U-Net ──────────────────────────────────┐
    log(1 + |X|) ────┤                                          + ─ vocals ──┐
           │         └─ tokens ─ layers ─┐    ┌─ layers ─ frames┘            │
           │                             ╳ cross-attention                   ├─ U-Net ─ other
           │         ┌─ tokens ─ layers ─┘    └─ layers ─ frames┐            │
           ├─────────┤                                          + ─ drums ───┤
           │         └─ U-Net ──────────────────────────────────┘            │
           └─ the same with fewer layers, alone ────────────────── bass ─────┘

B batch · S source · C channel · T time · F bin · N frame, also a transformer's token · D size of a token
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Scaling, Stft
from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError
from unbraid.networks.layers.attention import Attention
from unbraid.networks.layers.position import sinusoids
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Fields that say how magnitudes are used, and change no weight.
FREE_FIELDS = frozenset({"sources", "frames", "above", "iterations"})

# Least and greatest: small enough that no file can claim a network that takes minutes to lay out.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (4, 2**16),
    "hop_length": (1, 2**15),
    "bins": (2, 2**15),
    "frames": (2, 2**14),
    "skip_channels": (1, 1024),
    "heads": (1, 64),
    "token_size": (4, 4096),
    "layers": (1, 64),
    "bass_token_size": (4, 4096),
    "bass_layers": (1, 64),
    "iterations": (0, 16),
}
_MOST_LEVELS, _MOST_WIDTH = 12, 1024
_FEED_FORWARD = 4  # times the token size
_LEAK = 0.2  # slope below zero
_TOP = 16  # the highest 1/16 of the bins say a source's gain above them


class Output(str, Enum):
    """How a source's magnitude comes from the sum of U-Net and transformer."""

    MASK = "mask"  # a sigmoid of it, times the mixture's magnitude
    MAGNITUDE = "magnitude"  # a softplus of it; nothing where the mixture is silent


class Above(str, Enum):
    """What a source has above the highest bin."""

    EDGE = "edge"  # the mixture, at the gain that the source has in the topmost bins of the same frame
    DROP = "drop"  # nothing


@dataclass(frozen=True, slots=True)
class Config:
    """What a magnitude transformer is made from.

    Args:
        sources: Four names: the two that attend to each other, the one with the smaller transformer, and
            the rest.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of a frame.
        hop_length: Samples between the starts of two frames; at most half of `n_fft`.
        bins: How many of the lowest bins the networks see; a multiple of two to the number of levels.
        frames: How many of them it is trained on at once; a multiple likewise.
        widths: Channels of the U-Nets' levels, from the finest.
        skip_channels: Filters that a level hands across.
        heads: Of all attention.
        token_size: Of the pair's transformers, a multiple of `heads`.
        layers: Of the pair's transformers.
        bass_token_size: Of the smaller transformer, a multiple of `heads`.
        bass_layers: Of the smaller transformer.
        output: How magnitudes come about.
        above: What a source has above the highest bin.
        iterations: Of the Wiener filter that follows; 0: magnitudes sound at the mixture's phase.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    bins: int = 1024
    frames: int = 192
    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    skip_channels: int = 8
    heads: int = 8
    token_size: int = 384
    layers: int = 6
    bass_token_size: int = 192
    bass_layers: int = 3
    output: Output = Output.MASK
    above: Above = Above.EDGE
    iterations: int = 0

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no magnitude transformer: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)  # says what is wrong with a frame or a hop

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        sizes = self.token_size, self.bass_token_size
        faults = {
            "sources must be four": len(self.sources) != 4,
            f"widths must be 1 to {_MOST_LEVELS} numbers from 1 to {_MOST_WIDTH}": not (
                1 <= len(self.widths) <= _MOST_LEVELS
                and all(1 <= width <= _MOST_WIDTH for width in self.widths)
            ),
            "bins must be at most n_fft / 2 + 1": self.bins > self.n_fft // 2 + 1,
            "bins and frames must be multiples of 2^levels": any(
                count % 2 ** min(len(self.widths), _MOST_LEVELS) for count in (self.bins, self.frames)
            ),
            "token sizes must be even, and multiples of heads": any(
                size % 2 or size % self.heads for size in sizes
            ),
        }
        return [rule for rule, broken in faults.items() if broken]


class UNet(nn.Module):
    """Spectrograms from spectrograms: local patterns, at several resolutions.

    Args:
        channels: Of its input.
        config: Widths of levels and skips; it gives `audio_channels`.
    """

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        widths, skip = config.widths, config.skip_channels
        self.down = nn.ModuleList(
            _normed(nn.Conv2d(source, target, 3, stride=2, padding=1, bias=False))
            for source, target in pairwise([channels, *widths])
        )
        self.skip = nn.ModuleList(nn.Conv2d(source, skip, 1) for source in [channels, *widths[:-1]])
        rising = pairwise([*reversed(widths), widths[0]])
        self.up = nn.ModuleList(
            _normed(
                nn.ConvTranspose2d(
                    source + skip * (level > 0), target, 3, stride=2, padding=1, output_padding=1, bias=False
                )
            )
            for level, (source, target) in enumerate(rising)
        )
        self.output = nn.Conv2d(widths[0] + skip, config.audio_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, channels, F, N)` as `(B, C, F, N)`."""
        skips = []
        for down, skip in zip(self.down, self.skip, strict=True):
            skips.append(skip(x))
            x = down(x)
        for up in self.up:
            x = torch.cat([up(x), skips.pop()], dim=1)
        out: Tensor = self.output(x)
        return out


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution, its norm and its activation."""
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(convolution, norm, nn.LeakyReLU(_LEAK, inplace=True))


class Layer(nn.Module):
    """Tokens gather from each other, then each is reworked by itself.

    Args:
        size: Of a token.
        heads: Of the attention.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(size)
        self.attention = Attention(size, heads)
        self.norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, _FEED_FORWARD * size)
        self.narrow = nn.Linear(_FEED_FORWARD * size, size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, D)`."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        out: Tensor = tokens + self.narrow(F.gelu(self.widen(self.norm(tokens))))
        return out


class Meeting(nn.Module):
    """Tokens of one source gather from those of another.

    Args:
        size: Of a token.
        heads: Of the attention.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.other_norm = nn.LayerNorm(size)
        self.attention = Attention(size, heads)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """Tokens and the other source's, both `(B, N, D)`."""
        out: Tensor = tokens + self.attention(self.norm(tokens), self.other_norm(others))
        return out


class Tokens(nn.Module):
    """A transformer's first half: each frame becomes one token, and sees all others.

    Args:
        size: Of a token.
        layers: How many.
        config: Channels, bins, heads.
    """

    def __init__(self, size: int, layers: int, config: Config) -> None:
        super().__init__()
        # A convolution whose kernel is all bins.
        self.embedding = nn.Linear(config.audio_channels * config.bins, size)
        self.layers = nn.Sequential(*(Layer(size, config.heads) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, N, D)` of a spectrogram `(B, C, F, N)`."""
        tokens: Tensor = self.embedding(x.flatten(1, 2).transpose(-1, -2))
        out: Tensor = self.layers(tokens + sinusoids(tokens.shape[1], tokens.shape[2], like=tokens))
        return out


class Frames(nn.Module):
    """A transformer's second half: tokens see each other again, and each becomes a frame.

    Args:
        size: Of a token.
        layers: How many.
        config: Channels, bins, heads.
    """

    def __init__(self, size: int, layers: int, config: Config) -> None:
        super().__init__()
        self.channels = config.audio_channels
        self.layers = nn.Sequential(*(Layer(size, config.heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(size)
        # The transposed convolution, with a bias for each bin.
        self.output = nn.Linear(size, config.audio_channels * config.bins)

    def forward(self, tokens: Tensor) -> Tensor:
        """The spectrogram `(B, C, F, N)` of tokens `(B, N, D)`."""
        frames: Tensor = self.output(self.norm(self.layers(tokens)))
        return frames.transpose(-1, -2).reshape(len(frames), self.channels, -1, frames.shape[1])


class MagnitudeTransformer(nn.Module):
    """Separates a mixture by the magnitudes of its spectrogram; the phase stays the mixture's.

    It takes any length. A mixture whose frames the levels cannot halve is followed by silence.

    Args:
        config: Sizes and sources; None: those of the description.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=(config.frames - 1) * config.hop_length,
        )
        self.stft = Stft(config.n_fft, config.hop_length, scaling=Scaling.UNITARY)
        pair, single = (config.token_size, config.layers), (config.bass_token_size, config.bass_layers)
        halves = [(size, layers // 2, layers - layers // 2) for size, layers in (pair, pair, single)]
        self.unets = nn.ModuleList(UNet(config.audio_channels, config) for _ in halves)
        self.tokens = nn.ModuleList(Tokens(size, first, config) for size, first, _ in halves)
        self.meetings = nn.ModuleList(Meeting(config.token_size, config.heads) for _ in range(2))
        self.frames = nn.ModuleList(Frames(size, second, config) for size, _, second in halves)
        self.rest = UNet(4 * config.audio_channels, config)
        self.filter = WienerFilter(config.iterations)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no sample.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra and the filter are here."""
        self._check(mixture)
        length, hop, step = mixture.shape[-1], self.config.hop_length, 2 ** len(self.config.widths)
        frames = -(-(-(-length // hop) + 1) // step) * step
        # Half precision is for the layers; spectra need float32 at least.
        signal = mixture.to(torch.promote_types(mixture.dtype, torch.float32))
        spectrum = self.stft(F.pad(signal, (0, (frames - 1) * hop - length)))
        magnitude = spectrum.abs()
        (estimates,) = inner(magnitude[..., : self.config.bins, :])
        filtered = self.filter(self._extended(estimates, magnitude), spectrum)
        return self.stft.inverse(filtered, length).to(mixture.dtype)

    def inner(self, mixture: Tensor) -> tuple[Tensor]:
        """Magnitudes of the sources, as the only value."""
        return (self.magnitudes(mixture),)

    def magnitudes(self, mixture: Tensor) -> Tensor:
        """The network proper: magnitudes of the sources in the lowest bins.

        Args:
            mixture: Magnitudes `(B, C, F, N)` of that many bins, N a multiple of two to the number of
                levels; float32 or float64.

        Returns:
            `(B, S, C, F, N)`.
        """
        heard = self._level(mixture)
        vocals, drums, bass = (layers(heard) for layers in self.tokens)
        tokens = (self.meetings[0](vocals, drums), self.meetings[1](drums, vocals), bass)
        spectra = [layers(token) for layers, token in zip(self.frames, tokens, strict=True)]
        estimates = [
            self._magnitude(unet(heard) + spectrum, mixture)
            for unet, spectrum in zip(self.unets, spectra, strict=True)
        ]
        return torch.stack([*estimates, self._rest(mixture, estimates)], dim=1)

    def _level(self, magnitude: Tensor) -> Tensor:
        """Magnitudes as the layers take them, in their precision."""
        return torch.log1p(magnitude).to(self._dtype)

    def _magnitude(self, x: Tensor, mixture: Tensor) -> Tensor:
        """A source's magnitude from what U-Net and transformer say together."""
        x = x.to(mixture.dtype)
        if self.config.output is Output.MASK:
            return torch.sigmoid(x) * mixture
        return F.softplus(x) * (mixture > 0)

    def _rest(self, mixture: Tensor, estimates: list[Tensor]) -> Tensor:
        """The last source's magnitude: what the others leave, corrected."""
        correction = self.rest(self._level(torch.cat([mixture, *estimates], dim=1))).to(mixture.dtype)
        left = mixture - torch.stack(estimates).sum(0)
        if self.config.output is Output.MASK:
            return torch.minimum(F.relu(left + torch.tanh(correction) * mixture), mixture)
        return F.relu(left + correction) * (mixture > 0)

    def _extended(self, estimates: Tensor, mixture: Tensor) -> Tensor:
        """Magnitudes of the lowest bins `(B, S, C, F, N)` and of all those above."""
        bins = self.config.bins
        above = mixture[:, None, :, bins:]
        if self.config.above is Above.DROP:
            return F.pad(estimates, (0, 0, 0, above.shape[-2]))
        top = slice(bins - max(1, bins // _TOP), bins)
        heard = mixture[:, None, :, top].sum(-2, keepdim=True)
        gain = estimates[..., top, :].sum(-2, keepdim=True) / heard.clamp_min(torch.finfo(heard.dtype).tiny)
        return torch.cat([estimates, gain.clamp_max(1) * above], dim=-2)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _check(self, mixture: Tensor) -> None:
        """Refuses what is no mixture for this network."""
        channels = self.spec.channels
        require_mixture(mixture, "a magnitude transformer", channels)
