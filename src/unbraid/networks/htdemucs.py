"""HT Demucs: a spectrogram U-Net and a waveform U-Net, joined at the bottom by a transformer.

Paper    Rouard, Massa, Défossez, "Hybrid transformers for music source separation", ICASSP 2023.
Weights  parameter names are those of the published checkpoints.
Differs  the inverse STFT divides by the full window sum up to the edges although frames are missing
         there, as the weights expect; a shorter mixture is padded with zeros to the segment.

    mixture ─┬─ STFT ── encoder ×4 ──┐               ┌── decoder ×4 ── inverse STFT ─┐
             │                       ├─ transformer ─┤                               ├─ + ─ estimates
             └──────── tencoder ×4 ──┘               └── tdecoder ×4 ────────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Scaling, Stft, pad
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.attention import Attention
from unbraid.networks.layers.dconv import DConv, rescale_convolutions
from unbraid.networks.layers.frequency_embedding import FrequencyEmbedding
from unbraid.networks.layers.norm import LayerScale, TokenNorm
from unbraid.networks.layers.position import sinusoids, sinusoids_2d
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (0, 600),
    "n_fft": (16, 65536),
    "channels": (1, 4096),
    "growth": (1, 8),
    "depth": (1, 4),
    "kernel_size": (4, 128),
    "stride": (2, 64),
    "dconv_depth": (0, 16),
    "dconv_comp": (1, 4096),
    "dconv_init": (0, 1),
    "freq_emb": (0, 100),
    "bottom_channels": (0, 16384),
    "t_layers": (0, 64),
    "t_heads": (1, 1024),
    "t_hidden_scale": (0.01, 64),
    "t_dropout": (0, 1),
    "rescale": (1e-6, 100),
}
_MOST_SOURCES = 64

_CACHED = 2**20  # values refined at once; half and double were both slower on two server cores


@dataclass(frozen=True, slots=True)
class Config:
    """What an HT Demucs is made from; the defaults are the published model of four sources.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Length it was trained on, in seconds; exact.
        n_fft: Samples of an STFT frame; the hop is a quarter of it.
        channels: Of the first encoders.
        growth: Factor of the channels from one level to the next.
        depth: Levels of each U-Net.
        kernel_size: Of the strided convolutions; twice the stride.
        stride: By which each level shortens frequency, or time.
        dconv_depth: Layers of a residual branch.
        dconv_comp: Factor by which the branch narrows its channels.
        dconv_init: First gain of its layers.
        freq_emb: Gain of the frequency embedding.
        bottom_channels: Of a token; 0: those of the last encoder.
        t_layers: Transformer layers of each branch; self- and cross-attention in turns.
        t_heads: Attention heads.
        t_hidden_scale: Width of a feed-forward layer, in tokens' channels.
        t_dropout: Probability of dropping a value within the transformer in training.
        rescale: Deviation that the first convolution weights are drawn towards.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: Fraction = Fraction(39, 5)
    n_fft: int = 4096
    channels: int = 48
    growth: int = 2
    depth: int = 4
    kernel_size: int = 8
    stride: int = 4
    dconv_depth: int = 2
    dconv_comp: int = 8
    dconv_init: float = 1e-3
    freq_emb: float = 0.2
    bottom_channels: int = 512
    t_layers: int = 5
    t_heads: int = 8
    t_hidden_scale: float = 4.0
    t_dropout: float = 0.02
    rescale: float = 0.1

    def __post_init__(self) -> None:
        found = [
            f"{name} must be {least:g} to {greatest:g}, not {getattr(self, name)!s:.40}"
            for name, (least, greatest) in _RANGES.items()
            if not least <= getattr(self, name) <= greatest
        ]
        if len(self.sources) > _MOST_SOURCES:
            found.append(f"sources must be at most {_MOST_SOURCES}, not {len(self.sources)}")
        found = found or self._contradictions()
        if found:
            raise ConfigError(f"this makes no HT Demucs: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        smallest = self.n_fft // 2 // self.stride ** (self.depth - 1)  # bins before the last encoder
        faults = {
            "channels must be at least dconv_comp": self.channels < self.dconv_comp,
            "stride must be even and kernel_size twice that": self.stride % 2 != 0
            or self.kernel_size != 2 * self.stride,
            "n_fft must be a multiple of 2 · stride^depth": self.n_fft % (2 * self.stride**self.depth) != 0,
            "n_fft must leave each encoder more bins than kernel_size": smallest <= self.kernel_size,
            "the transformer's channels must be a multiple of 4 and of t_heads": self.token_channels % 4 != 0
            or self.token_channels % self.t_heads != 0,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def deepest_channels(self) -> int:
        """Channels of the last encoders."""
        return self.channels * int(self.growth ** (self.depth - 1))

    @property
    def token_channels(self) -> int:
        """Channels of the transformer."""
        return self.bottom_channels or self.deepest_channels

    @property
    def segment_samples(self) -> int:
        """The training length in samples."""
        return int(self.segment * self.sample_rate)


class Encoder(nn.Module):
    """One level down: strided convolution, GELU, residual branch, gated 1×1 convolution.

    Args:
        source: Channels in.
        target: Channels out.
        config: Kernel, stride and residual branch.
        spectral: True: `(B, C, F, N)`, strided over F; False: `(B, C, T)`, strided over T.
    """

    def __init__(self, source: int, target: int, config: Config, *, spectral: bool) -> None:
        super().__init__()
        kernel, stride, margin = config.kernel_size, config.stride, config.stride // 2
        self.stride = stride
        self.spectral = spectral
        self.conv: nn.Module
        self.rewrite: nn.Module
        if spectral:
            self.conv = nn.Conv2d(source, target, (kernel, 1), (stride, 1), (margin, 0))
            self.rewrite = nn.Conv2d(target, 2 * target, 1)
        else:
            self.conv = nn.Conv1d(source, target, kernel, stride, margin)
            self.rewrite = nn.Conv1d(target, 2 * target, 1)
        self.dconv = DConv(target, config.dconv_comp, config.dconv_depth, config.dconv_init)

    def forward(self, x: Tensor) -> Tensor:
        """Features with F, or T rounded up to the next multiple, divided by the stride."""
        if not self.spectral and x.shape[-1] % self.stride:
            x = F.pad(x, (0, -x.shape[-1] % self.stride))
        x = self.conv(x)
        return _few_bins_at_a_time(self._refine, x) if self.spectral else self._refine(x)

    def _refine(self, x: Tensor) -> Tensor:
        x = F.gelu(x)
        x = _bin_by_bin(self.dconv, x) if self.spectral else self.dconv(x)
        return F.glu(self.rewrite(x), dim=1)


class Decoder(nn.Module):
    """One level up, the encoder's mirror: skip, gated convolution, residual branch, transposed convolution.

    Args:
        source: Channels in.
        target: Channels out.
        config: Kernel, stride and residual branch.
        spectral: As for the encoder.
        last: True: no GELU at the end, since the output is the signal.
    """

    def __init__(self, source: int, target: int, config: Config, *, spectral: bool, last: bool) -> None:
        super().__init__()
        kernel, stride, margin = config.kernel_size, config.stride, config.stride // 2
        self.spectral = spectral
        self.last = last
        self.conv_tr: nn.Module
        self.rewrite: nn.Module
        if spectral:
            self.conv_tr = nn.ConvTranspose2d(source, target, (kernel, 1), (stride, 1), (margin, 0))
            self.rewrite = nn.Conv2d(source, 2 * source, 3, padding=1)
        else:
            self.conv_tr = nn.ConvTranspose1d(source, target, kernel, stride, margin)
            self.rewrite = nn.Conv1d(source, 2 * source, 3, padding=1)
        self.dconv = DConv(source, config.dconv_comp, config.dconv_depth, config.dconv_init)

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """Features of the level above; the last axis cut to `length`."""
        x = F.glu(self.rewrite(x + skip), dim=1)
        x = _few_bins_at_a_time(self._refine, x) if self.spectral else self._refine(x)
        x = self.conv_tr(x)[..., :length]
        return x if self.last else F.gelu(x)

    def _refine(self, x: Tensor) -> Tensor:
        return _bin_by_bin(self.dconv, x) if self.spectral else self.dconv(x)


def _bin_by_bin(module: nn.Module, x: Tensor) -> Tensor:
    """A module over signals, applied to each bin of `(B, C, F, N)` on its own."""
    batch, channels, bins, frames = x.shape
    rows: Tensor = module(x.transpose(1, 2).flatten(0, 1))  # (B·F, C, N)
    return rows.view(batch, bins, channels, frames).transpose(1, 2)


def _few_bins_at_a_time(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function that treats each bin on its own, over so few bins that what it makes stays in cache.

    The outermost residual branch makes tensors of 66 MB otherwise, and waits for memory most of its time.
    """
    bins = max(1, _CACHED * x.shape[2] // x.numel())
    return torch.cat([function(part) for part in torch.split(x, bins, dim=2)], dim=2)


class TransformerLayer(nn.Module):
    """What both kinds of layers share: the feed-forward half, and the norm of all tokens at the end."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.token_channels
        hidden = int(channels * config.t_hidden_scale)
        self.dropout = config.t_dropout
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm_out = TokenNorm(channels)
        self.gamma_1 = LayerScale(channels, 1e-4, channels_last=True)
        self.gamma_2 = LayerScale(channels, 1e-4, channels_last=True)

    def _finish(self, x: Tensor, attended: Tensor, norm: nn.Module) -> Tensor:
        """Add the attention's half and the feed-forward half to the tokens; `norm` precedes the latter."""
        x = self.gamma_1(x, self._drop(attended))
        hidden = self._drop(F.gelu(self.linear1(norm(x))))
        x = self.gamma_2(x, self._drop(self.linear2(hidden)))
        out: Tensor = self.norm_out(x)
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class SelfLayer(TransformerLayer):
    """Tokens of one branch attend to each other."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.self_attn = Attention(config.token_channels, config.t_heads, config.t_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, N, C)`."""
        return self._finish(x, self.self_attn(self.norm1(x)), self.norm2)


class CrossLayer(TransformerLayer):
    """Tokens of one branch attend to those of the other."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm3 = nn.LayerNorm(config.token_channels)
        self.cross_attn = Attention(config.token_channels, config.t_heads, config.t_dropout)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, and the other branch's `(B, M, C)`."""
        return self._finish(x, self.cross_attn(self.norm1(x), self.norm2(other)), self.norm3)


class CrossTransformer(nn.Module):
    """Lets the two branches read each other: layers of self-attention and of cross-attention in turns."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(config.token_channels)
        self.norm_in_t = nn.LayerNorm(config.token_channels)
        kinds = [CrossLayer if index % 2 else SelfLayer for index in range(config.t_layers)]
        self.layers = nn.ModuleList(kind(config) for kind in kinds)
        self.layers_t = nn.ModuleList(kind(config) for kind in kinds)

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """Spectral features `(B, C, F, N)` and waveform features `(B, C, T)`, same shapes out."""
        _, channels, bins, frames = x.shape
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2))  # (B, N·F, C)
        xt = self.norm_in_t(xt.transpose(1, 2))  # (B, T, C)
        x = x + sinusoids_2d(frames, bins, channels, like=x).flatten(0, 1)
        xt = xt + sinusoids(xt.shape[1], channels, like=xt)
        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            if isinstance(layer, CrossLayer):
                x, xt = layer(x, xt), layer_t(xt, x)
            else:
                x, xt = layer(x), layer_t(xt)
        return x.view(-1, frames, bins, channels).permute(0, 3, 2, 1), xt.transpose(1, 2)


class HTDemucs(nn.Module):
    """Separates a stereo mixture into its sources, on its spectrogram and on its waveform at once.

    In evaluation the network sees exactly its training length: a shorter mixture is lengthened with
    zeros, a longer one refused. In training it takes each batch at its own length.

    Args:
        config: Sizes and sources; None: those of the published model.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment_samples,
            fixed=True,
            levelled=True,
        )
        # Unitary and uncentred: `_spectrum` pads for itself.
        self.stft = Stft(config.n_fft, config.n_fft // 4, centred=False, scaling=Scaling.UNITARY)
        self._build_levels(config)
        rescale_convolutions(self, config.rescale)  # the modules made below keep torch's first weights
        deepest, tokens = config.deepest_channels, config.token_channels
        if config.bottom_channels:
            self.channel_upsampler = nn.Conv1d(deepest, tokens, 1)
            self.channel_downsampler = nn.Conv1d(tokens, deepest, 1)
            self.channel_upsampler_t = nn.Conv1d(deepest, tokens, 1)
            self.channel_downsampler_t = nn.Conv1d(tokens, deepest, 1)
        self.crosstransformer = CrossTransformer(config)

    def _build_levels(self, config: Config) -> None:
        """Four towers; a decoder's position counts from the bottom, as the published names do."""
        audio, total = config.audio_channels, config.audio_channels * len(config.sources)
        widths = [config.channels * config.growth**level for level in range(config.depth)]
        self.encoder, self.tencoder = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.tdecoder = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            above = widths[level - 1]
            last = level == 0
            self.encoder.append(Encoder(2 * audio if last else above, width, config, spectral=True))
            self.tencoder.append(Encoder(audio if last else above, width, config, spectral=False))
            self.decoder.insert(
                0, Decoder(width, 2 * total if last else above, config, spectral=True, last=last)
            )
            self.tdecoder.insert(
                0, Decoder(width, total if last else above, config, spectral=False, last=last)
            )
        bins = config.n_fft // 2 // config.stride
        self.freq_emb = FrequencyEmbedding(bins, config.channels, config.freq_emb)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`; in evaluation T is at most the segment.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or is too long.
        """
        dtype = self.freq_emb.embedding.weight.dtype
        # Half precision is for the layers; spectra and levels need float32 at least.
        signal = self._fitted(mixture).to(torch.promote_types(dtype, torch.float32))
        x, mean, deviation = _standardized(self._spectrum(signal))
        xt, mean_t, deviation_t = _standardized(signal)
        x, xt = self._separated(x.to(dtype), xt.to(dtype))
        sources = len(self.config.sources)
        estimates = [
            self._waveform(spectrum * deviation + mean, signal.shape[-1]) + (wave * deviation_t + mean_t)
            for spectrum, wave in zip(x.chunk(sources, dim=1), xt.chunk(sources, dim=1), strict=True)
        ]
        return torch.stack(estimates, dim=1)[..., : mixture.shape[-1]].to(mixture.dtype)

    def _separated(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """From features of the mixture, `(B, 2C, F, N)` and `(B, C, T)`, to those of all sources."""
        skips: list[tuple[Tensor, Tensor]] = []
        lengths: list[int] = []
        for level, (encoder, tencoder) in enumerate(zip(self.encoder, self.tencoder, strict=True)):
            lengths.append(xt.shape[-1])
            x, xt = encoder(x), tencoder(xt)
            if level == 0:
                x = self.freq_emb(x)
            skips.append((x, xt))
        x, xt = self._joined(x, xt)
        for decoder, tdecoder in zip(self.decoder, self.tdecoder, strict=True):
            skip, skip_t = skips.pop()
            x = decoder(x, skip, x.shape[-1])
            xt = tdecoder(xt, skip_t, lengths.pop())
        return x, xt

    def _joined(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """The transformer, between 1×1 convolutions to and from its width where that differs."""
        if not self.config.bottom_channels:
            joined: tuple[Tensor, Tensor] = self.crosstransformer(x, xt)
            return joined
        grid = x.shape[2:]
        x = self.channel_upsampler(x.flatten(2)).unflatten(2, grid)
        x, xt = self.crosstransformer(x, self.channel_upsampler_t(xt))
        x = self.channel_downsampler(x.flatten(2)).unflatten(2, grid)
        return x, self.channel_downsampler_t(xt)

    def _fitted(self, mixture: Tensor) -> Tensor:
        """The mixture at the length the layers shall see."""
        channels, segment = self.config.audio_channels, self.spec.segment
        if mixture.ndim != 3 or mixture.shape[1] != channels:
            raise ShapeError(
                f"the mixture is {tuple(mixture.shape)}; HT Demucs takes (batch, channels, time) "
                f"with {channels} channels"
            )
        length = mixture.shape[-1]
        if self.training:
            if not length:
                raise ShapeError("the mixture has no samples; HT Demucs is trained on one or more")
            return mixture
        if length > segment:
            raise ShapeError(
                f"the mixture has {length} samples; HT Demucs takes at most {segment} at once, "
                "longer ones are cut into segments by the engine"
            )
        return F.pad(mixture, (0, segment - length))

    def _spectrum(self, signal: Tensor) -> Tensor:
        """The STFT with its real and imaginary parts as channels, `(B, 2C, F, N)`, N hops of the signal.

        The signal gets (n_fft − hop) / 2 samples at both ends, so that frame n is centred on the middle
        of hop n, as the waveform branch's strides are:

            |· · ·|  hop 0  |  hop 1  |  …  |· · ·|
            [      frame 0      ]
                      [      frame 1      ]

        The highest bin is dropped: 2048 can be halved eleven times, 2049 not once.
        """
        hop, length = self.stft.hop_length, signal.shape[-1]
        margin = (self.stft.n_fft - hop) // 2
        spectrum = self.stft(pad(signal, margin, margin + -length % hop))[..., :-1, :]
        return torch.view_as_real(spectrum).movedim(-1, 2).flatten(1, 2)

    def _waveform(self, x: Tensor, length: int) -> Tensor:
        """The inverse of `_spectrum`, `(B, C, length)`.

        Frames of silence around the spectrum make the window sum constant up to the edges. The weights
        were trained so: what those frames would have held is left to the waveform branch.
        """
        hop, n_fft = self.stft.hop_length, self.stft.n_fft
        silent = n_fft // hop // 2
        parts = x.view(len(x), -1, 2, *x.shape[2:]).movedim(2, -1)  # (B, C, F, N, 2)
        spectrum = torch.view_as_complex(parts.contiguous())
        spectrum = F.pad(spectrum, (silent, silent, 0, 1))
        start = silent * hop + (n_fft - hop) // 2
        return self.stft.inverse(spectrum, start + length)[..., start:]


def _standardized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each item of a batch at mean 0 and deviation 1, with what its mean and deviation were."""
    deviation, mean = torch.std_mean(x, dim=tuple(range(1, x.ndim)), keepdim=True)
    return (x - mean) / (deviation + 1e-5), mean, deviation
