"""Wave-U-Net: a U-Net over samples, whose coarsest level sees seconds and whose finest sees each sample.

Paper    Stoller, Ewert, Dixon, "Wave-U-Net", ISMIR 2018.
Weights  parameter names are ours; the published TensorFlow variables stand in the order of their creation,
         their kernels as (kernel, in, out):

             down.{i}               separator/conv1d, separator/conv1d_1, …   i from the finest level
             bottleneck             the next one
             up.{i}                 the next ones                             i from the coarsest level
             output.{s}             the last ones                             s in the order of the sources
             interpolation.{i}      separator/interp_{i}                      beside up.{i}

Differs  with context, samples that no output depends on are not computed.

    mixture ─ down.0 ─ ÷2 ─ down.1 ─ ÷2 ─ … ─ bottleneck ─ … ─ ×2 ─ up ─ ×2 ─ up ─ outputs
                 │             └──────────── skip ────────────────────┘         │
                 └────────────────────────── skip ──────────────────────────────┘

With context no convolution pads its input: a long mixture gives the estimates of its middle.

B batch · S source · C channel · T time
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "output_length": (1, 2**24),
    "levels": (1, 16),
    "channels": (1, 1024),
    "kernel_size": (1, 63),
    "up_kernel_size": (1, 63),
}
_LEAK = 0.2  # slope of the activation below zero; as published


class Upsampling(str, Enum):
    """What comes between two samples when a signal is made twice as long."""

    LINEAR = "linear"  # their mean
    LEARNED = "learned"  # a mean whose weights are learned, one for each channel


class Output(str, Enum):
    """How estimates come from features."""

    DIRECT = "direct"  # each source by a convolution of its own
    DIFFERENCE = "difference"  # the last source is what the others leave of the mixture


@dataclass(frozen=True, slots=True)
class Config:
    """What a Wave-U-Net is made from; the defaults are the published M4.

    The paper's others differ from them so: M1 and M2 take one channel and have no context, M1 has the output
    "direct"; M3 takes one channel; M5 has learned upsampling, M5-HighSR also a rate of 44100 Hz; M6 has the
    sources bass, drums, other, vocals.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        output_length: Samples wanted from one pass. With context it is rounded up to a length that comes
            out even; the longer it is, the less of the work goes into the context.
        levels: How often the signal is made half as long.
        channels: Of the finest level; each further one has as many more.
        kernel_size: On the way down, odd.
        up_kernel_size: On the way up, odd.
        context: Whether convolutions see real neighbours at the edges instead of zeros.
        upsampling: What comes between two samples.
        output: How estimates come from features.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("accompaniment", "vocals")
    audio_channels: int = 2
    sample_rate: int = 22050
    output_length: int = 16384
    levels: int = 12
    channels: int = 24
    kernel_size: int = 15
    up_kernel_size: int = 5
    context: bool = True
    upsampling: Upsampling = Upsampling.LINEAR
    output: Output = Output.DIFFERENCE

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Wave-U-Net: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "kernel_size and up_kernel_size must be odd": (self.kernel_size * self.up_kernel_size) % 2 == 0,
            "without context, output_length must be a multiple of 2^levels": not self.context
            and self.output_length % 2**self.levels != 0,
            "a difference needs two sources or more": self.output is Output.DIFFERENCE
            and len(self.sources) < 2,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples that each level hands up, from the finest; the last entry is the bottleneck's.

        With context an upsampling of n samples gives 2n − 1, and a convolution takes kernel − 1 away::

            wanted ≤ lengths[0] = 2 · lengths[1] − 1 − (up_kernel_size − 1), and so on
        """
        if not self.context:
            return tuple(self.output_length // 2**level for level in range(self.levels + 1))
        lost = self.up_kernel_size  # of a level: 1 by upsampling, kernel − 1 by convolution
        bottom = self.output_length
        for _ in range(self.levels):
            bottom = -(-(bottom + lost) // 2)
        lengths = [max(2, bottom)]
        for _ in range(self.levels):
            lengths.insert(0, 2 * lengths[0] - lost)
        return tuple(lengths)

    @property
    def input_length(self) -> int:
        """Samples of the mixture that one pass takes."""
        length = self.lengths[-1]
        if not self.context:
            return self.output_length
        length += self.kernel_size - 1
        for _ in range(self.levels):
            length = 2 * length - 1 + self.kernel_size - 1
        return length


class Interpolation(nn.Module):
    """Makes a signal twice as long: its samples, and between each two of them one more.

    With context n samples become 2n − 1. Without, the last one has no successor: it is repeated where the
    upsampling is linear and followed by half of nothing where it is learned, as the published ones do.

    Args:
        channels: Of the signal.
        config: Context and kind of upsampling.
    """

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        self.context = config.context
        learned = config.upsampling is Upsampling.LEARNED
        self.weight = nn.Parameter(torch.zeros(channels)) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        """Signals `(B, C, T)` as `(B, C, 2T − 1)`, or `(B, C, 2T)` without context."""
        if not self.context:
            x = F.pad(x, (0, 1), mode="replicate" if self.weight is None else "constant")
        share = 0.5 if self.weight is None else torch.sigmoid(self.weight)[:, None]
        first, second = x[..., :-1], x[..., 1:]
        between = second + share * (first - second)
        doubled = torch.stack([first, between], dim=-1).flatten(-2)
        return torch.cat([doubled, x[..., -1:]], dim=-1) if self.context else doubled


class WaveUNet(nn.Module):
    """Separates a mixture into its sources, sample by sample.

    The network takes mixtures of exactly its segment; a shorter one is lengthened with zeros, a longer one
    refused. With context only the middle of the estimates is computed, and the edges are zero.

    Args:
        config: Sizes and sources; None: those of the published M4.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.input_length,
            fixed=True,
            context=(config.input_length - config.lengths[0]) // 2,
        )
        audio, kernel, up_kernel = config.audio_channels, config.kernel_size, config.up_kernel_size
        widths = [config.channels * (level + 1) for level in range(config.levels + 1)]
        rising = list(zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True))
        self.padding, self.up_padding = (0, 0) if config.context else (kernel // 2, up_kernel // 2)
        self.down = nn.ModuleList(
            nn.Conv1d(source, target, kernel, padding=self.padding)
            for source, target in zip([audio, *widths], widths[:-1], strict=False)
        )
        self.bottleneck = nn.Conv1d(widths[-2], widths[-1], kernel, padding=self.padding)
        self.interpolation = nn.ModuleList(Interpolation(below, config) for _, below in rising)
        self.up = nn.ModuleList(
            nn.Conv1d(skip + below, skip, up_kernel, padding=self.up_padding) for skip, below in rising
        )
        predicted = len(config.sources) - (config.output is Output.DIFFERENCE)
        self.output = nn.ModuleList(nn.Conv1d(audio + widths[0], audio, 1) for _ in range(predicted))
        self._begin()

    def _begin(self) -> None:
        """First weights as the published training draws them."""
        for name, parameter in self.named_parameters():
            if parameter.is_meta:
                continue
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("interpolation"):
                nn.init.uniform_(parameter, -((3 / len(parameter)) ** 0.5), (3 / len(parameter)) ** 0.5)
            else:
                nn.init.zeros_(parameter)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, T at most the segment.

        Returns:
            `(B, S, C, T)`; zero within the context at both edges.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or is too long.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; lengths are seen to here."""
        (estimates,), edge = inner(self._fitted(mixture)), self.spec.context
        return F.pad(estimates, (edge, edge))[..., : mixture.shape[-1]]

    def inner(self, signal: Tensor) -> tuple[Tensor]:
        """Estimates `(B, S, C, T)` of a segment's middle, without its context."""
        features = self._features(signal)
        heard = _middle(signal, features.shape[-1])
        features = torch.cat([heard, features], dim=1)
        estimates = [torch.tanh(layer(features)) for layer in self.output]
        if self.config.output is Output.DIFFERENCE:
            rest = heard - torch.stack(estimates).sum(0)
            estimates.append(rest if self.training else rest.clamp(-1, 1))
        return (torch.stack(estimates, dim=1),)

    def _features(self, x: Tensor) -> Tensor:
        """Features of the finest level, one for each sample of the output."""
        lengths, skips = self.config.lengths, []
        for level, layer in enumerate(self.down):
            needed = 2 * lengths[level + 1] - self.config.context  # what the level below becomes upsampled
            x, skip = self._descended(layer, x, needed)
            skips.append(skip)
        x = _leaky(self.bottleneck(x))
        for interpolation, layer in zip(self.interpolation, self.up, strict=True):
            x = _leaky(layer(torch.cat([skips.pop(), interpolation(x)], dim=1)))
        return x

    def _descended(self, layer: nn.Module, x: Tensor, needed: int) -> tuple[Tensor, Tensor]:
        """Every second sample of a convolution, and all samples of its middle.

        With context the middle is a small part, as is what the convolution costs there.
        """
        if not self.config.context:
            skip = _leaky(layer(x))
            return skip[..., ::2], skip
        weight, bias = layer.parameters()
        halved = F.conv1d(x, weight, bias, stride=2)
        skip = layer(_middle(x, needed + self.config.kernel_size - 1))
        return _leaky(halved), _leaky(skip)

    def _fitted(self, mixture: Tensor) -> Tensor:
        """The mixture at the length the layers take."""
        channels, segment, length = self.spec.channels, self.spec.segment, mixture.shape[-1]
        require_mixture(mixture, "Wave-U-Net", channels, least=0)
        if length > segment:
            raise ShapeError(
                f"the mixture has {length} samples; Wave-U-Net takes at most {segment} at once, "
                "longer ones are cut into segments by the engine"
            )
        return F.pad(mixture, (0, segment - length))


def _leaky(x: Tensor) -> Tensor:
    """The activation, in place: x is a convolution's own output, which nobody else needs."""
    return F.leaky_relu(x, _LEAK, inplace=True)


def _middle(x: Tensor, length: int) -> Tensor:
    """As many samples of `(B, C, T)` from its middle."""
    return x.narrow(-1, (x.shape[-1] - length) // 2, length)
