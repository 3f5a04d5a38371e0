"""What D3Net and MMDenseLSTM share: dense U-nets over bands of frequency, and the way from signal to signal.

    |X| ─ scale ─┬─ low bins ─── conv ─ dense U-net ─┐ in
                 ├─ high bins ── conv ─ dense U-net ─┤ frequency ─┐ in
                 └─ all bins ─── conv ─ dense U-net ──────────────┤ channels ─ dense block ─ gate ─ magnitudes

Source   Takahashi, Mitsufuji, "Multi-scale multi-band DenseNets for audio source separation", WASPAA 2017.

B batch · S source · C channel · T time · N frame · F bin
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from unbraid.dsp.stft import Stft
    from unbraid.dsp.wiener import WienerFilter
    from unbraid.split import Inner

_LONGEST = 3600  # seconds that may be given at once, which is what the published program does with a track


class DenseBlock(Protocol):
    """A module from features `(B, C, N, F)` to features of as many frames and bins."""

    channels: int  # out

    def __call__(self, x: Tensor, /) -> Tensor:
        """From features to features."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What one U-net is made from.

    Args:
        features: Channels of the convolution before it.
        blocks: Its dense blocks in the order they are passed, an odd number: from the channels that come in
            and their bins to the block.
    """

    features: int
    blocks: Sequence[Callable[[int, int], nn.Module]]


class NormConv(nn.Module):
    """Batch norm, ReLU, and a convolution that keeps frames and bins.

    Args:
        source: Channels in.
        target: Channels out.
        dilation: Of the kernel of three by three.
    """

    def __init__(self, source: int, target: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(source)
        self.conv = nn.Conv2d(source, target, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`."""
        out: Tensor = self.conv(F.relu(self.norm(x), inplace=True))
        return out


class Up(nn.Module):
    """Twice the frames and bins, and a dense block that also hears the features of that size.

    Args:
        source: Channels in.
        skip: Channels of the features that come from the way down.
        bins: Of these.
        block: Makes the block.
    """

    def __init__(self, source: int, skip: int, bins: int, block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(source)
        self.conv = nn.ConvTranspose2d(source, source, 2, 2)
        self.block = block(source + skip, bins)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features of the size of `skip`."""
        raised = self.conv(self.norm(x))[..., : skip.shape[-2], : skip.shape[-1]]
        out: Tensor = self.block(torch.cat([raised, skip], dim=1))
        return out


class DenseUNet(nn.Module):
    """Dense blocks at falling, then at rising resolution, over a band of frequency.

    An odd number of frames or bins is halved upwards: the last one stands for itself.

    Args:
        channels: Of the mixture.
        bins: Of the band.
        branch: What it is made from.
    """

    def __init__(self, channels: int, bins: int, branch: Branch) -> None:
        super().__init__()
        depth = len(branch.blocks) // 2
        self.conv = nn.Conv2d(channels, branch.features, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        width, sizes, skips = branch.features, [bins], list[int]()
        for make in branch.blocks[:depth]:
            self.down.append(make(width, sizes[-1]))
            width = _width(self.down[-1])
            skips.append(width)
            sizes.append(-(-sizes[-1] // 2))
        self.middle = branch.blocks[depth](width, sizes.pop())
        width = _width(self.middle)
        for make in branch.blocks[depth + 1 :]:
            up = Up(width, skips.pop(), sizes.pop(), make)
            self.up.append(up)
            width = _width(up.block)
        self.channels = width

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` of the mixture's magnitudes."""
        x = self.conv(x)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        x = self.middle(x)
        for up in self.up:
            x = up(x, skips.pop())
        return x


def _width(block: nn.Module) -> int:
    """Channels that a block gives."""
    return cast("DenseBlock", block).channels


class Match(nn.Module):
    """More channels, so that a band has as many as its neighbour.

    Args:
        source: Channels in.
        target: Channels out.
    """

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(source)
        self.conv = nn.Conv2d(source, target, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`."""
        out: Tensor = self.conv(self.norm(x))
        return out


class DenseBands(nn.Module):
    """The network of one source: from the mixture's magnitudes to the source's.

    Bins above the last edge are not looked at: there the source is what the mixture is.

    Args:
        channels: Of the mixture.
        bins: Of its spectrum.
        edges: Where bands end, in bins, rising.
        bands: What their U-nets are made from.
        full: The same for the U-net over all bands.
        final: Makes the block that hears all of them.
    """

    def __init__(
        self,
        channels: int,
        bins: int,
        *,
        edges: tuple[int, ...],
        bands: Sequence[Branch],
        full: Branch,
        final: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.edges = (0, *edges)
        self.input_mean = nn.Parameter(torch.zeros(bins))
        self.input_scale = nn.Parameter(torch.ones(bins))
        sizes = [high - low for low, high in itertools.pairwise(self.edges)]
        self.bands = nn.ModuleList(
            DenseUNet(channels, size, branch) for size, branch in zip(sizes, bands, strict=True)
        )
        self.full = DenseUNet(channels, edges[-1], full)
        widths = [_width(band) for band in self.bands]
        self.match = nn.ModuleList(
            Match(width, max(widths)) if width < max(widths) else nn.Identity() for width in widths
        )
        self.final = final(max(widths) + self.full.channels, edges[-1])
        self.norm = nn.BatchNorm2d(_width(self.final))
        self.gate = nn.Conv2d(_width(self.final), channels, 1)
        self.filter = nn.Conv2d(_width(self.final), channels, 1)
        self.output_scale = nn.Parameter(torch.ones(edges[-1]))
        self.output_mean = nn.Parameter(torch.ones(edges[-1]))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Magnitudes of the source.

        Args:
            magnitudes: Of the mixture, `(B, C, N, F)`, float32 or float64.

        Returns:
            The same shape and precision.
        """
        scaled = (magnitudes - self.input_mean) / self.input_scale
        # Convolutions of few channels are a fifth faster where these are next to each other.
        x = scaled.to(self.gate.weight.dtype, memory_format=torch.channels_last)
        bands = [
            match(band(x[..., low:high]))
            for band, match, (low, high) in zip(
                self.bands, self.match, itertools.pairwise(self.edges), strict=True
            )
        ]
        x = x[..., : self.edges[-1]]
        x = self.norm(self.final(torch.cat([torch.cat(bands, dim=-1), self.full(x)], dim=1)))
        heard = (torch.sigmoid(self.gate(x)) * self.filter(x)).to(magnitudes.dtype)
        heard = F.relu(torch.addcmul(self.output_mean, heard, self.output_scale))
        return torch.cat([heard, magnitudes[..., self.edges[-1] :]], dim=-1)


def separate_magnitudes(
    separated: Inner,
    mixture: Tensor,
    stft: Stft,
    wiener: WienerFilter,
    dtype: torch.dtype,
) -> Tensor:
    """Estimates of the sources: networks make magnitudes, a filter makes spectra of them.

    Half precision is for the networks' layers; spectra and the filter need float32 at least.

    Args:
        separated: From the mixture's magnitudes `(B, C, N, F)` to those of all sources, `(B, S, C, N, F)`,
            its only value.
        mixture: `(B, C, T)`.
        stft: From signals to spectra.
        wiener: The filter.
        dtype: The networks' precision.

    Returns:
        `(B, S, C, T)`.
    """
    spectrum = stft(mixture.to(torch.promote_types(dtype, torch.float32)))  # (B, C, F, N)
    (magnitudes,) = separated(spectrum.abs().mT.contiguous())
    spectra = wiener(magnitudes.mT, spectrum)
    signals = [stft.inverse(source, mixture.shape[-1]) for source in spectra.unbind(1)]
    return torch.stack(signals, dim=1).to(mixture.dtype)


def spectral_spec(
    sources: tuple[str, ...], *, sample_rate: int, channels: int, hop_length: int, frames: int
) -> ModelSpec:
    """What a network says of itself that is usually given so many frames, and may be given a whole track.

    A signal of n hops has n + 1 centred frames; a sample less, and it has n.
    """
    segment = frames * hop_length - 1
    longest = max(segment, _LONGEST * sample_rate)
    return ModelSpec(sources, sample_rate, channels, segment, longest=longest)
