"""Conv-TasNet for music: a learned filterbank, and convolutions that say what each source keeps.

Paper    Luo, Mesgarani, "Conv-TasNet", TASLP 27(8), 2019; in stereo at 44.1 kHz: Défossez, Usunier, Bottou,
         Bach, "Music source separation in the waveform domain", 2019.
Weights  parameter names are those of the published checkpoints.
Differs  from the first paper, as the weights expect: blocks have no skip outputs, and the norms' gains begin
         random like every other weight of more than one axis. A mixture shorter than one filter is
         lengthened with zeros; samples behind the last whole frame are silent in every source.

    mixture ── filters, ReLU ─┬─────────────── × ── basis signals ── overlap-add ─ estimates
                              │                │
                              └─ norm ─ blocks ─ masks, ReLU

Frames stand before channels, so that a few frames lie together in memory: every step but the convolution
over time is a matrix product of a piece that fits into the cache.

B batch · S source · C channel · T time · L length of a filter · N frame · H feature
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.errors import ConfigError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published model, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**28),
    "filters": (1, 4096),
    "filter_length": (2, 4096),
    "bottleneck_channels": (1, 4096),
    "hidden_channels": (1, 4096),
    "kernel_size": (1, 15),
    "blocks": (1, 12),
    "repeats": (1, 64),
}
_EPS = 1e-8
_PIECE = 512  # frames; 256 and 1024 were no faster, all at once took more than twice as long


@dataclass(frozen=True, slots=True)
class Config:
    """What a Conv-TasNet is made from; the defaults are the published model for music.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Samples it is evaluated on at once: its norms run over all of them.
        filters: Of the learned filterbank; N in the paper.
        filter_length: In samples, even; filters stand half of it apart. L in the paper.
        bottleneck_channels: Between the blocks; B in the paper.
        hidden_channels: Within a block; H in the paper.
        kernel_size: Of the convolutions over time, in frames, odd; P in the paper.
        blocks: Of one repeat, each with twice the dilation of the one before; X in the paper.
        repeats: Of the row of blocks; R in the paper.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 352_800
    filters: int = 256
    filter_length: int = 20
    bottleneck_channels: int = 256
    hidden_channels: int = 512
    kernel_size: int = 3
    blocks: int = 10
    repeats: int = 4

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES)
        if self.filter_length % 2:
            found.append("filter_length must be even")
        if self.kernel_size % 2 == 0:
            found.append("kernel_size must be odd")
        if found:
            raise ConfigError(f"this makes no Conv-TasNet: {'; '.join(found)}")

    @property
    def stride(self) -> int:
        """Samples between the starts of two frames."""
        return self.filter_length // 2


class _Norm(nn.Module):
    """A learned gain and offset for each channel, named as the published weights name them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))


class FrameNorm(_Norm):
    """Brings each frame on its own to mean 0 and deviation 1 over its channels."""

    def forward(self, piece: Tensor) -> Tensor:
        """A piece `(B, N, H)`, same shape out."""
        return F.layer_norm(piece, piece.shape[-1:], self.gamma.flatten(), self.beta.flatten(), _EPS)


class GlobalNorm(_Norm):
    """Brings an item to mean 0 and deviation 1 over all its frames and channels together."""

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """All pieces `(B, N, H)` of an item, same shapes out; levels are computed in float32 at least."""
        mean, deviation = _level(pieces)
        gain = self.gamma.flatten() / deviation
        shift = self.beta.flatten() - mean * gain
        return [torch.addcmul(shift, piece.to(shift.dtype), gain).to(piece.dtype) for piece in pieces]


def _level(pieces: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each item over all its pieces, both `(B, 1, 1)`.

    The variance is that within the pieces plus that between their means: as exact as taking the mean off
    first, without another pass over memory.
    """
    means, spreads = (torch.stack(parts) for parts in zip(*map(_moments, pieces), strict=True))
    frames = means.new_tensor([piece.shape[1] for piece in pieces]).view(-1, 1, 1, 1)
    share = frames / frames.sum()
    mean = (share * means).sum(0)
    variance = (share * (spreads + (means - mean).square())).sum(0)
    return mean, (variance + _EPS).sqrt()


def _moments(piece: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each item, both `(B, 1, 1)`; on a CPU ten times as fast as `torch.var_mean`."""
    piece = piece.to(torch.promote_types(piece.dtype, torch.float32))
    mean = piece.mean((1, 2), keepdim=True)
    return mean, (piece - mean).square().mean((1, 2), keepdim=True)


class Pointwise(nn.Module):
    """A matrix product of each frame; its weight has the shape of a convolution's, `(target, source, 1)`."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(target, source, 1))

    def forward(self, piece: Tensor) -> Tensor:
        """From a piece `(B, N, source)` to `(B, N, target)`."""
        return F.linear(piece, self.weight[:, :, 0])


class Depthwise(nn.Module):
    """Convolves each channel over time on its own, with zeros where the signal ends.

    Args:
        channels: In and out.
        kernel_size: Taps, an odd number.
        dilation: Frames between two taps.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel_size))

    def forward(self, pieces: list[Tensor]) -> Iterator[Tensor]:
        """Pieces `(B, N, H)`, all but the last at least as long as the kernel reaches; same shapes out."""
        taps = self.weight[:, 0].t()  # (kernel, H)
        for piece, wider in zip(
            pieces, _with_neighbours(pieces, self.dilation * (len(taps) // 2)), strict=True
        ):
            frames = piece.shape[1]
            out = wider[:, :frames] * taps[0]
            for index in range(1, len(taps)):
                start = index * self.dilation
                out = torch.addcmul(out, wider[:, start : start + frames], taps[index])
            yield out


def _with_neighbours(pieces: list[Tensor], reach: int) -> Iterator[Tensor]:
    """Each piece `(B, N, H)` with `reach` frames before and behind it; zeros where the signal ends."""
    for index, piece in enumerate(pieces):
        left = pieces[index - 1][:, -reach:] if index and reach else piece[:, :0]
        right = pieces[index + 1][:, :reach] if index + 1 < len(pieces) else piece[:, :0]
        joined = torch.cat([left, piece, right], dim=1)
        yield F.pad(joined, (0, 0, reach - left.shape[1], reach - right.shape[1]))


class SeparableConvolution(nn.Module):
    """The second half of a block: over time, each channel on its own; then over channels, each frame."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.net = nn.ModuleList(
            [
                Depthwise(hidden, config.kernel_size, dilation),
                nn.PReLU(),
                GlobalNorm(hidden),
                Pointwise(hidden, config.bottleneck_channels),
            ]
        )

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """From pieces `(B, N, hidden)` to pieces `(B, N, bottleneck)`."""
        depthwise, activation, norm, narrow = self.net
        convolved = norm([activation(piece) for piece in depthwise(pieces)])
        return [narrow(piece) for piece in convolved]


class Block(nn.Module):
    """Adds to each frame what it and frames `dilation` apart say, heard in a wider space."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [
                Pointwise(config.bottleneck_channels, config.hidden_channels),
                nn.PReLU(),
                GlobalNorm(config.hidden_channels),
                SeparableConvolution(config, dilation),
            ]
        )

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """Pieces `(B, N, bottleneck)`, same shapes out."""
        widen, activation, norm, convolution = self.net
        wide = norm([activation(widen(piece)) for piece in pieces])
        return [piece + change for piece, change in zip(pieces, convolution(wide), strict=True)]


class Encoder(nn.Module):
    """The learned filterbank: how much of each filter is in each frame, never negative."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv1d_U = nn.Conv1d(
            config.audio_channels, config.filters, config.filter_length, config.stride, bias=False
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Frames of samples `(B, C, N, L)` as `(B, N, filters)`."""
        return F.relu(F.linear(frames.transpose(1, 2).flatten(2), self.conv1d_U.weight.flatten(1)))


class Separator(nn.Module):
    """Finds for each source how much of each filter, in each frame, is its own."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.sources = len(config.sources)
        filters, narrow = config.filters, config.bottleneck_channels
        dilations = [2**index for index in range(config.blocks)]
        repeats = (
            nn.Sequential(*(Block(config, dilation) for dilation in dilations)) for _ in range(config.repeats)
        )
        self.network = nn.ModuleList(
            [
                FrameNorm(filters),
                Pointwise(filters, narrow),
                nn.Sequential(*repeats),
                Pointwise(narrow, self.sources * filters),
            ]
        )

    def forward(self, encoded: list[Tensor]) -> Iterator[Tensor]:
        """Masks `(B, N, S, filters)` for pieces `(B, N, filters)`, one after the other."""
        norm, bottleneck, blocks, masks = self.network
        pieces = blocks([bottleneck(norm(piece)) for piece in encoded])
        for piece in pieces:
            yield F.relu(masks(piece)).view(*piece.shape[:2], self.sources, -1)


class Decoder(nn.Module):
    """From filters' amounts back to samples."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.channels = config.audio_channels
        self.basis_signals = nn.Linear(
            config.filters, config.audio_channels * config.filter_length, bias=False
        )

    def forward(self, kept: Tensor) -> Tensor:
        """Amounts `(B, N, S, filters)` as frames of samples `(B, N, S, C, L)`."""
        frames: Tensor = self.basis_signals(kept)
        return frames.view(*kept.shape[:3], self.channels, -1)


class ConvTasNet(nn.Module):
    """Separates a stereo mixture into its sources in a filterbank it has learned.

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
            segment=config.segment,
            multiple=config.stride,  # any length is taken, but these leave no sample behind the last frame
            levelled=True,
        )
        self.encoder = Encoder(config)
        self.separator = Separator(config)
        self.decoder = Decoder(config)
        for parameter in self.parameters():
            if parameter.ndim > 1 and not parameter.is_meta:
                nn.init.xavier_normal_(parameter)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, T of any length.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; lengths are seen to here."""
        config, length = self.config, mixture.shape[-1]
        require_mixture(mixture, "Conv-TasNet", config.audio_channels, least=0)
        (samples,) = inner(F.pad(mixture, (0, max(0, config.filter_length - length))))
        return F.pad(samples, (0, max(0, length - samples.shape[-1])))[..., :length]

    def inner(self, signal: Tensor) -> tuple[Tensor]:
        """Estimates `(B, S, C, T)` of as many samples as whole frames have."""
        config = self.config
        # By `unfold`, which OpenVINO's reader refuses: as one graph this network took 17 GB there.
        frames = signal.unfold(-1, config.filter_length, config.stride)  # (B, C, N, L)
        # A piece is never shorter than the furthest tap reaches, so that it needs only its two neighbours.
        size = max(_PIECE, 2 ** (config.blocks - 1) * (config.kernel_size // 2))
        encoded = [self.encoder(piece) for piece in torch.split(frames, size, dim=2)]
        masks = self.separator(encoded)
        estimates = [
            self.decoder(piece[:, :, None] * mask) for piece, mask in zip(encoded, masks, strict=True)
        ]
        return (_overlap_add(torch.cat(estimates, dim=1).movedim(1, 3)),)


def _overlap_add(frames: Tensor) -> Tensor:
    """Frames `(..., N, L)`, each half a frame after the one before, summed to `(..., (N + 1) · L / 2)`."""
    first, second = frames.chunk(2, dim=-1)
    return (F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))).flatten(-2)
