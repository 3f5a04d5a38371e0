"""D3Net: dense U-nets over bands of frequency, whose convolutions are dilated the more the deeper they stand.

Paper    Takahashi, Mitsufuji, "D3Net: densely connected multidilated DenseNet for music source separation",
         arXiv 2010.01733, 2020, and the published code, github.com/sony/ai-research-code.
Weights  parameter names are ours; zoo.keymaps.d3net knows the published ones.
Differs  the published program lets the last frames of some tracks count half; here all count alike. The
         Wiener filter is dsp.wiener; it gives the same but where next to nothing is heard, which the
         published one makes softer still.

    mixture ─ STFT ─┬─ |X| ─┬─ target, in patches ─┬─ Wiener filter ─ inverse STFT ─ estimates
                    │       ├─ target, in patches ─┤        │
                    │       └─ …                   ┘        │
                    └───────────── X ───────────────────────┘

B batch · S source · C channel · T time · N frame · F bin
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.dsp.wiener import WienerFilter
from unbraid.errors import ConfigError
from unbraid.networks.layers import dense_bands
from unbraid.networks.layers.dense_bands import (
    DenseBands,
    NormConv,
    separate_magnitudes,
    spectral_spec,
)
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

FREE_FIELDS = frozenset({"sources", "iterations", "frames"})

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (16, 65536),
    "hop_length": (1, 32768),
    "bins": (2, 32769),
    "final_layers": (1, 16),
    "final_growth": (1, 1024),
    "iterations": (0, 100),
    "frames": (1, 65536),
}
_BRANCH_RANGES: Mapping[str, tuple[int, int]] = {"features": (1, 1024), "blocks": (1, 8)}
_MOST_BANDS = 8
_MOST_DEPTH = 8
_MOST_LAYERS = 16
_MOST_GROWTH = 1024
_MOST_PATCH = 65536
_EPS = 2.0**-52  # of the filter; the published one has no noise, and this is the rounding step of float64


@dataclass(frozen=True, slots=True)
class Branch:
    """What one U-net is made from.

    Args:
        features: Channels of the convolution before it.
        layers: Of each dense block, in the order they are passed.
        growth: Channels that each dense block gives.
        blocks: Inner blocks of each of them.
    """

    features: int
    layers: tuple[int, ...]
    growth: tuple[int, ...]
    blocks: int = 2

    def faults(self) -> list[str]:
        """Which of its numbers make no U-net."""
        found = out_of_range(self, (), _BRANCH_RANGES)
        if len(self.layers) != len(self.growth) or len(self.layers) % 2 == 0:
            found.append("layers and growth must be of one odd length")
        if len(self.layers) > 2 * _MOST_DEPTH + 1:
            found.append(f"a U-net may halve {_MOST_DEPTH} times at most")
        if not all(1 <= layers <= _MOST_LAYERS for layers in self.layers):
            found.append(f"layers must be 1 to {_MOST_LAYERS}")
        if not all(1 <= growth <= _MOST_GROWTH for growth in self.growth):
            found.append(f"growth must be 1 to {_MOST_GROWTH}")
        return found

    @property
    def depth(self) -> int:
        """How often frames and bins are halved."""
        return len(self.layers) // 2

    def built(self) -> dense_bands.Branch:
        """Makes its blocks."""
        makers = [
            partial(_block, growth=growth, layers=layers, blocks=self.blocks)
            for growth, layers in zip(self.growth, self.layers, strict=True)
        ]
        return dense_bands.Branch(self.features, makers)


@dataclass(frozen=True, slots=True)
class Target:
    """What the network of one source is made from.

    Args:
        edges: Where bands end, in bins; the last one ends where all bins do that are looked at.
        bands: Their U-nets.
        full: The U-net over all bins.
        patch: Frames that it is given at once; each lies in two such patches.
    """

    edges: tuple[int, ...]
    bands: tuple[Branch, ...]
    full: Branch
    patch: int = 256

    def faults(self, bins: int) -> list[str]:
        """Which of its numbers make no network."""
        branches = (*self.bands, self.full)
        found = [fault for branch in branches for fault in branch.faults()]
        edges = (0, *self.edges, bins)
        if len(self.bands) != len(self.edges) + 1 or not 1 <= len(self.bands) <= _MOST_BANDS:
            found.append(f"there must be one band more than edges, and at most {_MOST_BANDS}")
        if any(low >= high for low, high in itertools.pairwise(edges)):
            found.append(f"edges must rise and lie between 0 and {bins} bins")
        unit = 2 ** max(1, *(branch.depth for branch in branches))
        if self.patch % unit != 0 or not unit <= self.patch <= _MOST_PATCH:
            found.append(f"patch must be a multiple of {unit}, at most {_MOST_PATCH}")
        return found


_HIGH = Branch(8, (1, 1, 1, 1, 1), (2, 2, 2, 2, 2), blocks=1)
_VOCALS = Target(
    edges=(256,),
    bands=(Branch(32, (5, 5, 5, 5, 4, 4, 4), (16, 18, 20, 22, 20, 18, 16)), _HIGH),
    full=Branch(32, (4, 5, 6, 7, 8, 6, 5, 4, 4), (13, 14, 15, 16, 17, 16, 14, 12, 11)),
)
_DRUMS = Target(
    edges=(128,),
    bands=(Branch(32, (5, 5, 5, 4, 4, 4, 4), (16, 18, 20, 22, 20, 18, 16)), _HIGH),
    full=Branch(32, (4, 5, 6, 7, 8, 6, 6, 4, 4), (13, 14, 15, 16, 16, 16, 14, 12, 11)),
)
_BASS = Target(
    edges=(192,),
    bands=(
        Branch(32, (5, 5, 5, 5, 4, 4, 4), (16, 18, 18, 20, 18, 16, 16)),
        Branch(8, (1,) * 7, (2,) * 7, blocks=1),
    ),
    full=Branch(32, (4, 5, 6, 7, 8, 6, 6, 4, 4), (10, 10, 12, 14, 16, 14, 12, 8, 8)),
    patch=384,
)


@dataclass(frozen=True, slots=True)
class Config:
    """What a D3Net is made from; the defaults are the published models, one for each source.

    Args:
        sources: Names of the sources, in the order of the output.
        targets: The network of each.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        bins: How many are looked at, from the lowest; above, a source is what the mixture is.
        final_layers: Of the dense block that hears all bands.
        final_growth: Channels that it gives.
        iterations: Of the Wiener filter, in evaluation.
        frames: That it is usually given at once.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    targets: tuple[Target, ...] = (_VOCALS, _DRUMS, _BASS, _VOCALS)
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    bins: int = 1600
    final_layers: int = 3
    final_growth: int = 12
    iterations: int = 1
    frames: int = 1152

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES)
        if len(self.targets) != len(self.sources):
            found.append(f"there are {len(self.sources)} sources but {len(self.targets)} targets")
        if self.bins > self.n_fft // 2 + 1:
            found.append(f"bins must be at most {self.n_fft // 2 + 1}, which is n_fft / 2 + 1")
        for source, target in zip(self.sources, self.targets, strict=False):
            found += [f"{source}: {fault}" for fault in target.faults(self.bins)]
        if found:
            raise ConfigError(f"this makes no D3Net: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)


class D2Block(nn.Module):
    """Convolutions of which each hears all before it, each twice as far apart as the one before.

    Every layer's output is cut into as many pieces as layers follow; each of them adds the piece that is
    meant for it to what it hears. So every earlier layer is heard at a dilation of its own, and none of them
    skips bins or frames.

    Args:
        source: Channels in.
        growth: Channels out.
        layers: How many.
    """

    def __init__(self, source: int, growth: int, layers: int) -> None:
        super().__init__()
        self.channels = growth
        self.initial = NormConv(source, growth * layers)
        self.layers = nn.ModuleList(
            NormConv(growth, growth * (layers - index), dilation=2**index) for index in range(1, layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`; of the last layer alone."""
        heard = list(self.initial(x).split(self.channels, dim=1))
        return _densely(heard, self.layers)


class D3Block(nn.Module):
    """Dense blocks that are connected densely once more.

    Args:
        source: Channels in.
        growth: Channels out.
        layers: Of each block.
        blocks: How many.
    """

    def __init__(self, source: int, growth: int, layers: int, blocks: int) -> None:
        super().__init__()
        self.channels = growth
        self.initial = D2Block(source, growth * blocks, layers)
        self.layers = nn.ModuleList(
            D2Block(growth, growth * (blocks - index), layers) for index in range(1, blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`; of the last block alone."""
        heard = list(self.initial(x).split(self.channels, dim=1))
        return _densely(heard, self.layers)


def _densely(heard: list[Tensor], layers: nn.ModuleList) -> Tensor:
    """The last piece, after each layer has heard one piece and added to all that follow."""
    for layer in layers:
        first, *rest = heard
        heard = [old + new for old, new in zip(rest, layer(first).split(first.shape[1], dim=1), strict=True)]
    return heard[-1]


def _block(source: int, _: int, growth: int, layers: int, blocks: int) -> D3Block:
    return D3Block(source, growth, layers, blocks)


class D3Net(nn.Module):
    """Separates a mixture into its sources, by a network for the magnitudes of each and a filter for all.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the published models.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.stft = Stft(config.n_fft, config.hop_length)
        self.spec = spectral_spec(
            config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            hop_length=config.hop_length,
            frames=config.frames,
        )
        final = partial(_final, growth=config.final_growth, layers=config.final_layers)
        self.targets = nn.ModuleList(
            DenseBands(
                config.audio_channels,
                config.n_fft // 2 + 1,
                edges=(*target.edges, config.bins),
                bands=[band.built() for band in target.bands],
                full=target.full.built(),
                final=final,
            )
            for target in config.targets
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        In training they are not filtered, and frames are not cut into patches.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """Estimates, with the layers run by `inner`; spectra and the filter are here."""
        config = self.config
        require_mixture(mixture, "D3Net", config.audio_channels)
        # A single source would get all of the mixture by the filter.
        iterations = 0 if self.training or len(config.sources) == 1 else config.iterations
        wiener = WienerFilter(iterations, eps=_EPS)
        dtype = self.targets[0].get_parameter("gate.weight").dtype
        return separate_magnitudes(inner, mixture, self.stft, wiener, dtype)

    def inner(self, magnitudes: Tensor) -> tuple[Tensor]:
        """Magnitudes of the sources, as the only value."""
        return (self.separated(magnitudes),)

    def separated(self, magnitudes: Tensor) -> Tensor:
        """Magnitudes of all sources `(B, S, C, N, F)` from those of the mixture, `(B, C, N, F)`."""
        if self.training:
            return torch.stack([target(magnitudes) for target in self.targets], dim=1)
        patches = [target.patch for target in self.config.targets]
        pairs = zip(self.targets, patches, strict=True)
        return torch.stack([_in_patches(target, magnitudes, patch) for target, patch in pairs], dim=1)


def _final(source: int, _: int, growth: int, layers: int) -> D2Block:
    return D2Block(source, growth, layers)


def _in_patches(target: nn.Module, magnitudes: Tensor, patch: int) -> Tensor:
    """What a network makes of patches of frames, each frame the mean of the two that it lies in.

    Patches begin half a patch before the first frame, and there is silence beyond the ends. Channels may
    stand in either order: the mean of both is taken.

        patch 0   |──────────|──────────|
        patch 1              |──────────|──────────|
        frames               0                     patch

    Args:
        target: From magnitudes to magnitudes.
        magnitudes: `(B, C, N, F)`.
        patch: Frames of a patch, even.

    Returns:
        `(B, C, N, F)`.
    """
    half, frames = patch // 2, magnitudes.shape[2]
    count = -(-frames // half)  # of halves
    padded = F.pad(magnitudes, (0, 0, half, (count + 1) * half - frames))
    total = torch.zeros_like(padded)
    for start in range(0, (count + 1) * half, half):
        part = padded[:, :, start : start + patch]
        both = target(torch.cat([part, part.flip(1)]))
        forth, back = both.chunk(2)
        total[:, :, start : start + patch] += forth + back.flip(1)
    return total[:, :, half : half + frames] / 4
