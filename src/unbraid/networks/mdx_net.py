"""KUIELab-MDX-Net: for each source a U-Net that maps the mixture's spectrum to the source's own.

Paper    Kim, Choi, Chung, Lee, Jung, "KUIELab-MDX-Net: a two-stream neural network for music demixing",
         MDX workshop 2021. Its other stream is Demucs: their blend is an ensemble of two models.
Weights  parameter names within a target are those of the published checkpoints.
Differs  a target whose segments are shorter than another's reads several of them, joined as the published
         program joins those of a track. What programs put around the network is its own: the lowest bins
         silenced, the network's own noise halved, the rest of the mixture as a further source.

    mixture ─ first_conv ─ block ─ ds ─ block ─ … ─ bottleneck ─ … ─ us ─ × ─ block ─ final_conv ─ source
                             └────────────────── skip ──────────────────┘

Features are real and imaginary parts of both channels, as channels; bins above the highest that a target
looks at are silent in its estimate. The skip connections multiply.

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.tfc_tdf import Norm, NormedConvolution, TfcTdf
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
    "hop_length": (1, 32_768),
    "low_cut": (0, 32_768),
    "compensate": (0, 100),
}
_TARGET_RANGES: Mapping[str, tuple[float, float]] = {
    "n_fft": (2, 65_536),
    "bins": (1, 32_769),
    "frames": (2, 2**16),
    "levels": (0, 10),
    "channels": (1, 1024),
    "convolutions": (0, 16),
    "kernel_size": (1, 31),
}
_LONGEST = 3600  # seconds that may be read at once, which is what the published program does with a track

# Fields that change no weight.
FREE_FIELDS = frozenset({"sources", "low_cut", "compensate", "denoise"})


@dataclass(frozen=True, slots=True)
class Target:
    """The network of one source; the defaults are the published one for vocals.

    Args:
        n_fft: Samples of an STFT frame.
        bins: How many bins, from the lowest, are looked at and estimated.
        frames: Of a segment.
        levels: How often bins and frames become half as many.
        channels: Of the finest level; each further one has as many more.
        convolutions: Of a block.
        kernel_size: Of these; odd.
        bottleneck: Factor by which bins become fewer within a block's full layers; 0: a single layer,
            None: blocks have none.
        bias: Whether full layers have one.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    n_fft: int = 6144
    bins: int = 2048
    frames: int = 256
    levels: int = 5
    channels: int = 32
    convolutions: int = 3
    kernel_size: int = 3
    bottleneck: int | None = 8
    bias: bool = False

    def __post_init__(self) -> None:
        found = out_of_range(self, (), _TARGET_RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no target of an MDX-Net: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "kernel_size must be odd": self.kernel_size % 2 == 0,
            "bins and frames must be multiples of 2^levels": self.bins % 2**self.levels != 0
            or self.frames % 2**self.levels != 0,
            f"bins must be at most {self.n_fft // 2 + 1}, which n_fft makes": self.bins > self.n_fft // 2 + 1,
            "bottleneck must be 0 to the bins that the deepest level has": not 0
            <= (self.bottleneck or 0)
            <= self.bins >> self.levels,
        }
        return [rule for rule, broken in faults.items() if broken]


@dataclass(frozen=True, slots=True)
class Config:
    """What an MDX-Net is made from; the defaults are the published network for vocals.

    Args:
        sources: Names of the sources, in the order of the output.
        targets: The network of each source, in the same order; but for a last source that is the rest.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        hop_length: Samples between two frames.
        norm: Of all targets.
        mixer: Whether each estimate is a learned sum of all estimates and the mixture.
        rest: True: the last source is what the others, each times `compensate`, leave of the mixture.
        compensate: Gain at which the others are taken from the mixture; above 1 where targets are too soft.
        low_cut: How many bins, from the lowest, are silenced before a target sees them.
        denoise: True: each target hears the mixture upside down, too, and half their difference counts: what
            it adds on its own cancels. It takes twice as long.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals",)
    targets: tuple[Target, ...] = (Target(),)
    audio_channels: int = 2
    sample_rate: int = 44100
    hop_length: int = 1024
    norm: Norm = Norm.BATCH
    mixer: bool = False
    rest: bool = False
    compensate: float = 1.0
    low_cut: int = 0
    denoise: bool = False

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no MDX-Net: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        for target in self.targets:
            Stft(target.n_fft, self.hop_length)  # says what is wrong with a frame or a hop
        faults = {
            "there must be a target for each source, but for the rest": not self.targets
            or len(self.targets) + self.rest != len(self.sources),
            "a segment must be longer than its first and last frame": any(
                self.segment_of(target) <= target.n_fft for target in self.targets
            ),
            "channels must be even for a group norm": self.norm is Norm.GROUP
            and any(target.channels % 2 for target in self.targets),
        }
        return [rule for rule, broken in faults.items() if broken]

    def segment_of(self, target: Target) -> int:
        """Samples of a target's segment."""
        return self.hop_length * (target.frames - 1)


class TargetNetwork(nn.Module):
    """Estimates one source.

    Args:
        target: Its sizes.
        config: What all targets share.
    """

    def __init__(self, target: Target, config: Config) -> None:
        super().__init__()
        self.stft = Stft(target.n_fft, config.hop_length)
        self.bins, self.low_cut, self.denoise = target.bins, config.low_cut, config.denoise
        self.segment, self.edge = config.segment_of(target), target.n_fft // 2
        norm, features = config.norm, 2 * config.audio_channels
        widths = [target.channels * (level + 1) for level in range(target.levels + 1)]
        steps = list(itertools.pairwise(widths))
        self.first_conv = _step(nn.Conv2d(features, widths[0], 1), norm)
        self.encoding_blocks = nn.ModuleList(_block(target, norm, level) for level in range(target.levels))
        self.ds = nn.ModuleList(_step(nn.Conv2d(above, below, 2, 2), norm) for above, below in steps)
        self.bottleneck_block = _block(target, norm, target.levels)
        self.us = nn.ModuleList(
            _step(nn.ConvTranspose2d(below, above, 2, 2), norm) for above, below in reversed(steps)
        )
        self.decoding_blocks = nn.ModuleList(
            _block(target, norm, level) for level in reversed(range(target.levels))
        )
        self.final_conv = nn.Sequential(nn.Conv2d(widths[0], features, 1))

    def forward(self, signal: Tensor, context: int, inner: Inner | None = None) -> Tensor:
        """The estimate of a mixture of any length.

        A segment's first and last half of a frame know only what lies on one side of them. Segments overlap
        by twice that much, and those edges are left out where another segment has better::

            |edge|      kept      |edge|
                              |edge|      kept      |edge|

        Args:
            signal: The mixture `(B, C, T)`, in float32 or float64.
            context: How many samples at each end of the whole are not needed; at least half a frame.
            inner: Runs the layers, as `inner` does; None: they run here.

        Returns:
            Same shape.
        """
        length, step = signal.shape[-1], self.segment - 2 * self.edge
        count = max(1, -(-(length - context - self.edge) // step))
        padded = F.pad(signal, (0, max(0, (count - 1) * step + self.segment - length)))
        pieces = [
            self._estimate(padded[..., start : start + self.segment], inner or self.inner)
            for start in range(0, count * step, step)
        ]
        kept = [piece[..., self.edge : self.edge + step] for piece in pieces]
        whole = torch.cat([pieces[0][..., : self.edge], *kept, pieces[-1][..., -self.edge :]], dim=-1)
        return F.pad(whole, (0, max(0, length - whole.shape[-1])))[..., :length]

    def _estimate(self, signal: Tensor, inner: Inner) -> Tensor:
        """The estimate of one segment, same shape."""
        spectrum = torch.view_as_real(self.stft(signal)[..., : self.bins, :])  # (B, C, F, N, 2)
        features = spectrum.movedim(-1, 2).flatten(1, 2)
        features[..., : self.low_cut, :] = 0
        features = features.to(next(self.parameters()).dtype)
        (heard,) = inner(features)
        if self.denoise:
            heard = 0.5 * (heard - inner(-features)[0])
        parts = heard.to(signal.dtype).view(len(heard), -1, 2, *heard.shape[2:]).movedim(2, -1)
        above = self.stft.n_fft // 2 + 1 - self.bins
        spectrum = F.pad(torch.view_as_complex(parts.contiguous()), (0, 0, 0, above))
        return self.stft.inverse(spectrum, signal.shape[-1])

    def inner(self, features: Tensor) -> tuple[Tensor]:
        """The layers; see `separate`."""
        return (self.separate(features),)

    def separate(self, features: Tensor) -> Tensor:
        """The source's spectrum from the mixture's: the network without what is around it.

        Args:
            features: `(B, 2C, F, N)`; of each channel its real, then its imaginary part. N is any multiple
                of 2^levels.

        Returns:
            Same shape.
        """
        x = self.first_conv(features.contiguous(memory_format=torch.channels_last))
        skips = []
        for block, down in zip(self.encoding_blocks, self.ds, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck_block(x)
        for up, block in zip(self.us, self.decoding_blocks, strict=True):
            x = block(up(x) * skips.pop())
        estimate: Tensor = self.final_conv(x)
        return estimate


def _step(layer: nn.Conv2d | nn.ConvTranspose2d, norm: Norm) -> NormedConvolution:
    """What leads into a level."""
    return NormedConvolution(layer, norm.module(layer.out_channels))


def _block(target: Target, norm: Norm, level: int) -> TfcTdf:
    """The block of a level."""
    return TfcTdf(
        target.channels * (level + 1),
        target.bins >> level,
        convolutions=target.convolutions,
        kernel_size=target.kernel_size,
        bottleneck=target.bottleneck,
        norm=norm,
        bias=target.bias,
    )


class Mixer(nn.Module):
    """Each estimate as a sum of all estimates and the mixture, channel by channel, sample by sample.

    Args:
        config: How many estimates and channels there are.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        estimates = len(config.targets) * config.audio_channels
        self.linear = nn.Linear(estimates + config.audio_channels, estimates, bias=False)

    def forward(self, estimates: Tensor, mixture: Tensor) -> Tensor:
        """Estimates `(B, S, C, T)` with the mixture `(B, C, T)`, same shape as the estimates."""
        heard = torch.cat([estimates.flatten(1, 2), mixture], dim=1)
        return torch.matmul(self.linear.weight.to(heard.dtype), heard).view_as(estimates)


class MDXNet(nn.Module):
    """Separates a mixture into the sources that it has targets for, and what they leave.

    Takes mixtures of any length. Each target reads segments of its own length, whatever it is given; the
    last is filled up with silence.

    Args:
        config: Sizes and sources; None: those of the published network for vocals.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=max(config.segment_of(target) for target in config.targets),
            context=max(target.n_fft for target in config.targets) // 2,
            longest=_LONGEST * config.sample_rate,
        )
        self.targets = nn.ModuleList(TargetNetwork(target, config) for target in config.targets)
        self.mixer = Mixer(config) if config.mixer else None

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
        """Estimates, with the layers run by `inner`; spectra and the mixer are here."""
        require_mixture(mixture, "MDX-Net", self.config.audio_channels)
        # Half precision is for the layers; spectra need float32 at least.
        dtype = next(self.parameters()).dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32))
        estimates = torch.stack(
            [
                target(signal, self.spec.context, partial(inner, target=index))
                for index, target in enumerate(self.targets)
            ],
            dim=1,
        )
        if self.mixer is not None:
            estimates = self.mixer(estimates, signal)
        if self.config.rest:
            left = signal - self.config.compensate * estimates.sum(1)
            estimates = torch.cat([estimates, left[:, None]], dim=1)
        return estimates.to(mixture.dtype)

    def inner(self, features: Tensor, *, target: int) -> tuple[Tensor]:
        """The spectrum of one target's source from the mixture's, both `(B, 2C, F, N)`."""
        return cast("TargetNetwork", self.targets[target]).inner(features)
