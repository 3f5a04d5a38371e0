"""Demucs: a U-Net over samples, with a recurrence at the bottom or residual branches in its encoders.

Paper    Défossez, Usunier, Bottou, Bach, "Music source separation in the waveform domain", 2019 and 2021;
         the third generation: Défossez, "Hybrid spectrogram and waveform source separation", 2021, section 5.
Weights  parameter names are those of the third generation's checkpoints, where a norm has a place in every
         level; in the first two, which have no norm, `2` is named `3`.
Differs  estimates are as long as the mixture: edges that unpadded convolutions lose stay empty.

    first       without oversampling; the decoders' convolutions lose the edges
    second      oversampled; divides the mixture by 1.00001, for its code adds an epsilon to a deviation of 1
    third       oversampled; its own level, GELU, norms and residual branches, no recurrence at the bottom,
                padded convolutions

B batch · S source · C channel · T time
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.oversample import downsample, upsample
from unbraid.errors import ConfigError
from unbraid.networks.layers.dconv import DConv, rescale_convolutions
from unbraid.networks.layers.recurrent import BLSTM
from unbraid.networks.layers.strided import Strided1d
from unbraid.networks.layers.transposed import Raising1d
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import Ladder, ModelSpec

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
    "channels": (1, 4096),
    "growth": (1, 8),
    "depth": (1, 8),
    "kernel_size": (1, 128),
    "stride": (1, 64),
    "context": (0, 16),
    "lstm_layers": (0, 16),
    "norm_starts": (0, 999),
    "norm_groups": (1, 4096),
    "dconv_depth": (0, 16),
    "dconv_comp": (1, 4096),
    "dconv_init": (0, 1),
    "dconv_attn": (0, 999),
    "dconv_lstm": (0, 999),
    "divisor": (0.01, 100),
    "rescale": (1e-6, 100),
}
_MOST_CHANNELS = 16384

_EPSILON = 1e-5  # added to a mixture's deviation in the published code


@dataclass(frozen=True, slots=True)
class Config:
    """What a Demucs is made from; the defaults are the published model of the second generation.

    Levels are counted from 0, the outermost.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Length that it separates at once, in seconds, without its context.
        channels: Of the first encoder.
        growth: Factor of the channels from one level to the next.
        depth: Levels of the U-Net.
        kernel_size: Of the strided convolutions.
        stride: By which each level shortens time.
        context: Neighbours on each side that a decoder's first convolution sees.
        padded: Whether that convolution sees zeros beyond the edges; otherwise it loses them.
        rewrite: Whether each level has a gated convolution.
        gelu: Whether activations are GELU; otherwise ReLU.
        lstm_layers: Of the recurrence at the bottom; 0: there is none.
        norm_starts: First level with norms; beyond the last: there are none.
        norm_groups: Of each norm.
        dconv_depth: Layers of an encoder's residual branch; 0: there is none.
        dconv_comp: Factor by which the branch narrows its channels.
        dconv_init: First gain of its layers.
        dconv_attn: First level whose branch has local attention.
        dconv_lstm: First level whose branch has a recurrence.
        oversampled: Whether it works at twice the sample rate.
        normalized: Whether it takes off the mixture's mono mean and divides by its mono deviation.
        divisor: What the mixture is divided by where it is not normalised.
        rescale: Deviation that the first convolution weights are drawn towards.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: Fraction = Fraction(40)
    channels: int = 64
    growth: float = 2.0
    depth: int = 6
    kernel_size: int = 8
    stride: int = 4
    context: int = 1
    padded: bool = False
    rewrite: bool = True
    gelu: bool = False
    lstm_layers: int = 2
    norm_starts: int = 999
    norm_groups: int = 4
    dconv_depth: int = 0
    dconv_comp: int = 4
    dconv_init: float = 1e-4
    dconv_attn: int = 4
    dconv_lstm: int = 4
    oversampled: bool = True
    normalized: bool = False
    divisor: float = 1.00001
    rescale: float = 0.1

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Demucs: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        widths = self.widths
        normed = widths[max(1, self.norm_starts) :] if self.norm_starts < self.depth else ()
        shortest = self.ladder.accepted_length(1)
        faults = {
            f"the deepest level must have at most {_MOST_CHANNELS} channels": widths[-1] > _MOST_CHANNELS,
            "channels must be at least dconv_comp": self.dconv_depth > 0 and self.channels < self.dconv_comp,
            "norm_groups must divide the channels of each level with norms": any(
                width % self.norm_groups for width in normed
            ),
            "kernel_size must be at least 2 · context + 1": self.kernel_size <= 2 * self.context,
            "kernel_size and stride must be even where the mixture is oversampled": self.oversampled
            and (self.kernel_size % 2 or self.stride % 2) != 0,
            f"segment must hold the {shortest} samples that the strides span": self.segment_samples
            < shortest,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the mixture, then of each level."""
        widths = [self.audio_channels, self.channels]
        while len(widths) <= self.depth:
            widths.append(int(self.growth * widths[-1]))
        return tuple(widths)

    @property
    def segment_samples(self) -> int:
        """Samples that it separates at once, without their context."""
        return int(self.segment * self.sample_rate)

    @property
    def ladder(self) -> Ladder:
        """The lengths that its convolutions take."""
        return Ladder(
            self.kernel_size, self.stride, self.depth, self._oversampling, least=2 * self._lost_steps + 1
        )

    @property
    def lost_samples(self) -> int:
        """Samples at each edge of the mixture that get no estimate.

        Each decoder loses `context` steps at each edge, and the transposed convolutions from there on make
        `stride` of one: `context · (stride + stride² + … + stride^depth)` in all.
        """
        strides = sum(int(self.stride**level) for level in range(1, self.depth + 1))
        return self._lost_steps * strides // self._oversampling

    @property
    def _lost_steps(self) -> int:
        """Steps that a decoder's first convolution loses at each edge."""
        return self.context if self.rewrite and not self.padded else 0

    @property
    def _oversampling(self) -> int:
        return 2 if self.oversampled else 1


def _encoder(config: Config, level: int) -> nn.Sequential:
    """One level down: strided convolution, residual branch, gated 1×1 convolution."""
    source, target = config.widths[level : level + 2]
    layers = [
        Strided1d(source, target, config.kernel_size, config.stride),
        _norm(config, level, target),
        _activation(config),
    ]
    if config.dconv_depth:
        lstm, attention = level >= config.dconv_lstm, level >= config.dconv_attn
        comp, depth, init = config.dconv_comp, config.dconv_depth, config.dconv_init
        layers.append(DConv(target, comp, depth, init, lstm=lstm, attention=attention))
    if config.rewrite:
        layers += [nn.Conv1d(target, 2 * target, 1), _norm(config, level, 2 * target), nn.GLU(dim=1)]
    return nn.Sequential(*layers)


def _decoder(config: Config, level: int) -> nn.Sequential:
    """One level up: gated convolution over neighbours, transposed convolution."""
    target, source = config.widths[level : level + 2]
    layers: list[nn.Module] = []
    if config.rewrite:
        kernel, padding = 2 * config.context + 1, config.context if config.padded else 0
        layers += [
            nn.Conv1d(source, 2 * source, kernel, padding=padding),
            _norm(config, level, 2 * source),
            nn.GLU(dim=1),
        ]
    if level == 0:
        target = config.audio_channels * len(config.sources)
    layers.append(Raising1d(source, target, config.kernel_size, config.stride))
    if level > 0:
        layers += [_norm(config, level, target), _activation(config)]
    return nn.Sequential(*layers)


def _norm(config: Config, level: int, channels: int) -> nn.Module:
    return nn.GroupNorm(config.norm_groups, channels) if level >= config.norm_starts else nn.Identity()


def _activation(config: Config) -> nn.Module:
    return nn.GELU() if config.gelu else nn.ReLU()


class Demucs(nn.Module):
    """Separates a mixture into its sources, sample by sample, without a spectrogram.

    It takes any length, best one that its spec accepts: others are lengthened with zeros on both sides.
    Where its convolutions are not padded, `spec.context` samples at each edge hold no estimate.

    Args:
        config: Sizes and sources; None: those of the published model of the second generation.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment_samples + 2 * config.lost_samples,
            context=config.lost_samples,
            levelled=True,
            ladder=config.ladder,
        )
        levels = range(config.depth)
        self.encoder = nn.ModuleList(_encoder(config, level) for level in levels)
        self.lstm = (
            BLSTM(config.widths[-1], config.lstm_layers, max_steps=None, skip=False)
            if config.lstm_layers
            else None
        )
        self.decoder = nn.ModuleList(_decoder(config, level) for level in reversed(levels))
        rescale_convolutions(self, config.rescale)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, T at least 1.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; levels and filters are here."""
        require_mixture(mixture, "Demucs", self.config.audio_channels)
        # Half precision is for the layers; levels and filters need float32 at least.
        signal = mixture.to(torch.promote_types(self._dtype, torch.float32))
        if self.config.normalized:
            mean, deviation = _level(signal)
            estimates = self._estimates(inner, (signal - mean) / (deviation + _EPSILON)) * deviation + mean
        else:
            estimates = self._estimates(inner, signal / self.config.divisor)
        estimates = estimates.reshape(len(mixture), len(self.config.sources), *mixture.shape[1:])
        return estimates.to(mixture.dtype)

    def _estimates(self, inner: Inner, signal: Tensor) -> Tensor:
        """From a mixture at the level of the layers, any length, to `(B, S·C, T)`."""
        length, context = signal.shape[-1], self.spec.context
        lack = self.spec.accepted_length(length) - length
        left, right = lack // 2, lack - lack // 2
        x = F.pad(signal, (left, right))
        if self.config.oversampled:
            x = upsample(x)
        x = inner(x.to(self._dtype))[0].to(signal.dtype)
        if self.config.oversampled:
            x = downsample(x)
        return F.pad(x, (context - left, context - right))  # fewer than no zeros: samples are cut

    def inner(self, x: Tensor) -> tuple[Tensor]:
        """From `(B, C, T)` to `(B, S·C, T)`; fewer steps where convolutions are not padded."""
        skips: list[Tensor] = []
        for encoder in self.encoder:
            x = encoder(x)
            skips.append(x)
        if self.lstm is not None:
            x = self.lstm(x)
        for decoder in self.decoder:
            x = x + _middle(skips.pop(), x.shape[-1])
            x = decoder(x)
        return (x,)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


def _level(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each item's mono downmix, `(B, 1, 1)`; a single sample has no deviation."""
    mono = signal.mean(1, keepdim=True)
    correction = min(1, mono.shape[-1] - 1)
    deviation, mean = torch.std_mean(mono, dim=-1, correction=correction, keepdim=True)
    return mean, deviation


def _middle(x: Tensor, length: int) -> Tensor:
    """The middle of the last axis."""
    start = (x.shape[-1] - length) // 2
    return x[..., start : start + length]
