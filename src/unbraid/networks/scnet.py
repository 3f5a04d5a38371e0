"""SCNet: a spectrum compressed band by band, dual paths through what is left, and the way up for each source.

Paper    Tong, Zhu, Chen, Kang, Wang, Chen, Wu, Dong, "SCNet: sparse compression network for music source
         separation", ICASSP 2024.
Weights  parameter names are those of the published checkpoints.
Kinds    SCNet reads its dual paths with LSTMs, SCNet-Tran with transformers. SCNet-Masked multiplies the
         mixture with what comes out, after two further layers; the others estimate the spectra themselves.
Differs  nothing in what is heard. The window is rectangular, but for the masked kind: the published program
         names none, and the weights were trained so.

    mixture ─ encoder ─ encoder ─ encoder ─ dual paths ─ decoder ─ decoder ─ decoder ─ sources
                 │         │         └──────── skip ────────┘         │         │
                 │         └────────────────── skip ──────────────────┘         │
                 └──────────────────────────── skip ────────────────────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Scaling, Stft, Window
from unbraid.errors import ConfigError
from unbraid.networks.layers.axial_transformer import Sizes
from unbraid.networks.layers.complex_parts import parts_of, spectrum_of
from unbraid.networks.layers.dual_domain import DualDomain, DualPath, RecurrentPath, TransformerPath
from unbraid.networks.layers.rotary import RotaryEmbedding
from unbraid.networks.layers.sparse_bands import Band, Decoder, Encoder, split
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 16),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**26),
    "n_fft": (16, 65_536),
    "hop_length": (1, 32_768),
    "compress": (1, 64),
    "kernel_size": (1, 63),
    "layers": (0, 64),
    "expand": (1, 8),
}
_BAND_RANGES: Mapping[str, tuple[float, float]] = {
    "share": (0, 1),
    "stride": (1, 256),
    "kernel_size": (1, 256),
    "depth": (0, 16),
}
_ATTENTION_RANGES: Mapping[str, tuple[float, float]] = {
    "depth": (1, 16),
    "heads": (1, 64),
    "head_channels": (2, 512),
    "attention_dropout": (0, 1),
    "dropout": (0, 1),
}
_MOST_WIDE = 2048
_MOST_LEVELS = 8
_MOST_BANDS = 16

# Fields that change no weight.
FREE_FIELDS = frozenset({"sources", "levelled", "standardized"})

_MASK_HIDDEN = 64  # channels within the layer that makes masks, as published
_EPS = 1e-5  # added to the deviation of a spectrum, as published


@dataclass(frozen=True, slots=True)
class Attention:
    """Transformers in the place of LSTMs; the defaults are those of the published SCNet-Tran.

    Args:
        depth: Of each.
        heads: Of each attention.
        head_channels: Of a head; even.
        attention_dropout: Probability of dropping a weight of an attention in training.
        dropout: Probability of dropping a value of a feed-forward layer in training.

    Raises:
        ConfigError: If a number is out of range.
    """

    depth: int = 1
    heads: int = 8
    head_channels: int = 64
    attention_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        found = out_of_range(self, (), _ATTENTION_RANGES)
        if self.head_channels % 2:
            found.append("head_channels must be even")
        if found:
            raise ConfigError(f"this makes no transformer of an SCNet: {'; '.join(found)}")


@dataclass(frozen=True, slots=True)
class Config:
    """What an SCNet is made from; the defaults are the published small one.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Samples it was trained on.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        widths: Channels of each level.
        bands: From the lowest; each level splits its bins among them.
        compress: Factor by which channels become fewer within residual convolutions.
        kernel_size: Of these, in frames; odd.
        layers: Dual paths; even.
        expand: Hidden size of an LSTM's direction, in multiples of its channels.
        attention: Transformers that read the dual paths; None: LSTMs do.
        masked: Whether masks are estimated, with a Hann window, instead of spectra with a rectangular one.
        levelled: Whether it was trained on mixtures at mean 0 and deviation 1.
        standardized: Whether the spectrum of each segment is put to mean 0 and deviation 1 first, as in the
            authors' program, and not in the community's.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 485_100
    n_fft: int = 4096
    hop_length: int = 1024
    widths: tuple[int, ...] = (32, 64, 128)
    bands: tuple[Band, ...] = (Band(0.175, 1, 3, 3), Band(0.392, 4, 4, 2), Band(0.433, 16, 16, 1))
    compress: int = 4
    kernel_size: int = 3
    layers: int = 6
    expand: int = 1
    attention: Attention | None = None
    masked: bool = False
    levelled: bool = True
    standardized: bool = False

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._lists() or self._contradictions()
        if found:
            raise ConfigError(f"this makes no SCNet: {'; '.join(found)}")
        _stft(self)

    def _lists(self) -> list[str]:
        """Which lists are too long, and which of their numbers out of range."""
        found = [
            f"there must be 1 to {most} {name}, not {len(entries)}"
            for name, entries, most in (
                ("widths", self.widths, _MOST_LEVELS),
                ("bands", self.bands, _MOST_BANDS),
            )
            if not 1 <= len(entries) <= most
        ]
        if not all(1 <= width <= _MOST_WIDE for width in self.widths):
            found.append(f"widths must be 1 to {_MOST_WIDE}, not {self.widths!s:.40}")
        for band in self.bands[:_MOST_BANDS]:
            found += [f"a band's {fault}" for fault in out_of_range(band, (), _BAND_RANGES)]
        return found

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "kernel_size must be odd": self.kernel_size % 2 == 0,
            "layers must be even, for frames to come out": self.layers % 2 != 0,
            "widths must be at least compress": min(self.widths) < self.compress,
            "the shares of the bands must sum to 1": abs(sum(band.share for band in self.bands) - 1) > 1e-3,
            "a band's kernel_size must be a multiple of its stride": any(
                band.kernel_size % band.stride for band in self.bands
            ),
            "masked and standardized exclude each other: a mask has no level": self.masked
            and self.standardized,
            "each band must keep bins at every level: fewer widths, or larger shares": not self._bins_last(),
        }
        return [rule for rule, broken in faults.items() if broken]

    def _bins_last(self) -> bool:
        """Whether each band has bins for its kernel at every level."""
        bins = self.n_fft // 2 + 1
        for _ in self.widths:
            sizes = list(zip(self.bands, split(bins, self.bands), strict=True))
            if not all(size > 0 and band.compressed(size) > 0 for band, size in sizes):
                return False
            bins = sum(band.compressed(size) for band, size in sizes)
        return True

    @property
    def bins(self) -> list[int]:
        """Of the features, from the spectrum to the last level."""
        found = [self.n_fft // 2 + 1]
        for _ in self.widths:
            sizes = zip(self.bands, split(found[-1], self.bands), strict=True)
            found.append(sum(band.compressed(size) for band, size in sizes))
        return found


def _stft(config: Config) -> Stft:
    """The transform of a kind."""
    window = Window.HANN if config.masked else Window.RECTANGULAR
    return Stft(config.n_fft, config.hop_length, scaling=Scaling.UNITARY, window=window)


def _path_maker(config: Config) -> Callable[[int], DualPath]:
    """Makes a dual path of so many channels; its transformers share what they know of places."""
    attention = config.attention
    if attention is None:
        return partial(RecurrentPath, expand=config.expand)
    places = RotaryEmbedding(attention.head_channels), RotaryEmbedding(attention.head_channels)

    def path(channels: int) -> DualPath:
        sizes = Sizes(
            channels,
            attention.heads,
            attention.head_channels,
            bias=False,
            normed=True,
            attention_dropout=attention.attention_dropout,
            dropout=attention.dropout,
        )
        return TransformerPath(sizes, attention.depth, places)

    return path


class SCNet(nn.Module):
    """Separates a mixture into its sources by way of sparse bands.

    Takes mixtures of any length. Norms look at all of a segment, and so its length matters: the engine always
    gives one of the length it was trained on.

    Args:
        config: Sizes and sources; None: those of the published small model.
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
            levelled=config.levelled,
        )
        self.stft = _stft(config)
        parts, estimates = 2 * config.audio_channels, 2 * config.audio_channels * len(config.sources)
        levels = list(zip((parts, *config.widths), config.widths, config.bins, strict=False))
        encoder = partial(
            Encoder, bands=config.bands, compress=config.compress, kernel_size=config.kernel_size
        )
        self.encoder = nn.ModuleList(encoder(above, below, bins=bins) for above, below, bins in levels)
        self.separation_net = DualDomain(config.layers, config.widths[-1], _path_maker(config))
        self.decoder = nn.ModuleList(
            Decoder(below, above if level else estimates, config.bands, bins)
            for level, (above, below, bins) in reversed(list(enumerate(levels)))
        )
        if config.masked:
            self.pos_embed_f = nn.Parameter(torch.empty(1, parts, config.bins[0], 1))
            nn.init.trunc_normal_(self.pos_embed_f, std=0.02)
            self.mask_layer = nn.Sequential(
                nn.Conv2d(estimates, _MASK_HIDDEN, 3, padding=1),
                nn.GELU(),
                nn.Conv2d(_MASK_HIDDEN, estimates, 1),
                nn.Tanh(),
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
        """What is done to a mixture before the layers, and to what they give.

        Args:
            inner: This network's `inner`, or another that does the same.
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.
        """
        require_mixture(mixture, "SCNet", self.config.audio_channels)
        # Half precision is for the layers; spectra need float32 at least.
        dtype = next(self.parameters()).dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32))
        length = mixture.shape[-1]
        spectrum = self.stft(F.pad(signal, (0, self._filling(length))))
        heard, mean, deviation = self._standardized(parts_of(spectrum))
        (parts,) = inner(heard.to(dtype))
        parts = parts.to(signal.dtype) * deviation + mean
        found = spectrum_of(torch.unflatten(parts, 1, (len(self.config.sources), -1)))  # (B, S, C, F, N)
        if self.config.masked:
            found = found * spectrum[:, None]
        return self.stft.inverse(found, length).to(mixture.dtype)

    def inner(self, heard: Tensor) -> tuple[Tensor, ...]:
        """The layers.

        Args:
            heard: The mixture's spectrum, `(B, 2C, F, N)`: of each channel its real, then its imaginary part;
                N is even.

        Returns:
            All sources' spectra, or their masks, `(B, S · 2C, F, N)`.
        """
        x = heard + self.pos_embed_f if self.config.masked else heard
        skips = []
        for encoder in self.encoder:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.separation_net(x)
        for decoder in self.decoder:
            x = decoder(x, skips.pop())
        return (self.mask_layer(x) if self.config.masked else x,)

    def _filling(self, length: int) -> int:
        """Zeros behind a mixture that make its frames even in number: at least one, as published."""
        hops = length // self.config.hop_length + 1
        return (hops + (hops + 1) % 2) * self.config.hop_length - length

    def _standardized(self, parts: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """Each item at mean 0 and deviation 1 if the network wants it so, with what they were."""
        if not self.config.standardized:
            return parts, 0.0, 1.0
        deviation, mean = torch.std_mean(parts, dim=(1, 2, 3), keepdim=True)
        return (parts - mean) / (deviation + _EPS), mean, deviation
