"""HT Demucs: a spectrogram U-Net and a waveform U-Net, joined at the bottom by a transformer.

Paper    Rouard, Massa, Défossez, "Hybrid transformers for music source separation", ICASSP 2023.
Weights  parameter names are those of the published checkpoints.
Differs  the inverse STFT divides by the full window sum up to the edges although frames are missing
         there, as the weights expect; a shorter mixture is padded with zeros to the segment.

The paper's best model attends sparsely, over 7 layers and 15 s; neither its weights nor its kernels were ever
published. `Config(t_layers=7, segment=Fraction(15), t_sparse_self_attn=True)` is that network, for training.

    mixture ─┬─ STFT ── encoder ×4 ──┐               ┌── decoder ×4 ── inverse STFT ─┐
             │                       ├─ transformer ─┤                               ├─ + ─ estimates
             └──────── tencoder ×4 ──┘               └── tdecoder ×4 ────────────────┘

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, get_args

from torch import nn
from torch.nn import functional as F

from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.attention import Attention
from unbraid.networks.layers.dconv import DConv, rescale_convolutions
from unbraid.networks.layers.frequency_embedding import FrequencyEmbedding
from unbraid.networks.layers.hybrid_levels import Decoder, Encoder, Level
from unbraid.networks.layers.hybrid_spectrum import HopSpectrum, separate_in_both
from unbraid.networks.layers.norm import LayerScale, TokenNorm
from unbraid.networks.layers.position import sinusoids, sinusoids_2d
from unbraid.networks.layers.sparse_attention import Kind, Pattern, SparseAttention
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
    "t_sparsity": (0, 1),
    "t_sparse_attn_window": (0, 10**6),
    "t_global_window": (0, 10**6),
    "t_mask_random_seed": (0, 2**32),
    "rescale": (1e-6, 100),
}


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
        t_sparse_self_attn: Whether a token sees only some of its own branch.
        t_sparse_cross_attn: Whether it sees only some of the other branch.
        t_masks: Which tokens it sees then: "auto" for those most like it, or any of "diag", "jmask", "random"
            and "global"; explained in `layers.sparse_attention`.
        t_sparsity: Share of tokens that "auto" and "random" leave out.
        t_sparse_attn_window: How far "diag" sees to both sides, in tokens.
        t_global_window: First tokens that "global" shows to all.
        t_mask_random_seed: Of what "auto" and "random" draw.
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
    t_sparse_self_attn: bool = False
    t_sparse_cross_attn: bool = False
    t_masks: tuple[Kind, ...] = ("auto",)
    t_sparsity: float = 0.9
    t_sparse_attn_window: int = 500
    t_global_window: int = 100
    t_mask_random_seed: int = 42
    rescale: float = 0.1

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
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
            'a mask must be "auto" alone, or some of "diag", "jmask", "random" and "global", each once': (
                not self.t_masks
                or not set(self.t_masks) <= set(get_args(Kind))
                or len(set(self.t_masks)) < len(self.t_masks)
                or ("auto" in self.t_masks and len(self.t_masks) > 1)
            ),
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

    def attention(self, *, sparse: bool) -> Attention:
        """A new attention of the transformer's size, to all tokens or to some."""
        sizes = self.token_channels, self.t_heads, self.t_dropout
        if not sparse:
            return Attention(*sizes)
        pattern = Pattern(
            self.t_masks,
            sparsity=self.t_sparsity,
            window=self.t_sparse_attn_window,
            global_window=self.t_global_window,
            seed=self.t_mask_random_seed,
        )
        return SparseAttention(*sizes, pattern)

    @property
    def segment_samples(self) -> int:
        """The training length in samples."""
        return int(self.segment * self.sample_rate)


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
        self.self_attn = config.attention(sparse=config.t_sparse_self_attn)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, N, C)`."""
        return self._finish(x, self.self_attn(self.norm1(x)), self.norm2)


class CrossLayer(TransformerLayer):
    """Tokens of one branch attend to those of the other."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm3 = nn.LayerNorm(config.token_channels)
        self.cross_attn = config.attention(sparse=config.t_sparse_cross_attn)

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
            silent=True,
            half=True,  # benchmarks/precision.json
        )
        self.spectrum = HopSpectrum(config.n_fft)
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
        residual = partial(
            DConv, compress=config.dconv_comp, depth=config.dconv_depth, init=config.dconv_init
        )
        spectral = Level(
            config.kernel_size, config.stride, config.stride // 2, spectral=True, residual=residual
        )
        temporal = dataclasses.replace(spectral, spectral=False)
        for index, width in enumerate(widths):
            above, last = widths[index - 1], index == 0
            self.encoder.append(Encoder(2 * audio if last else above, width, spectral))
            self.tencoder.append(Encoder(audio if last else above, width, temporal))
            self.decoder.insert(0, Decoder(width, 2 * total if last else above, spectral, last=last))
            self.tdecoder.insert(0, Decoder(width, total if last else above, temporal, last=last))
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
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra and levels are made here."""
        signal, dtype = self._fitted(mixture), self.freq_emb.embedding.weight.dtype
        estimates = separate_in_both(inner, signal, self.spectrum, len(self.config.sources), dtype)
        return estimates[..., : mixture.shape[-1]].to(mixture.dtype)

    def inner(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
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
        require_mixture(mixture, "HT Demucs", channels, least=0)
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
