"""MMDenseLSTM: dense U-nets over bands of frequency, some of whose blocks remember what they heard.

Paper    Takahashi, Goswami, Mitsufuji, "MMDenseLSTM: an efficient combination of convolutional and recurrent
         neural networks for audio source separation", IWAENC 2018.
Weights  parameter names are ours; its authors published neither weights nor code.
Differs  sizes, bands and the place of each recurrence are the paper's. It leaves open, and here is chosen as
         in its authors' D3Net: a block passes on what its last layer made, and what its recurrence made; what
         goes up is normalised; bands with fewer channels are widened; the last dense block ends in a gate.
         An odd number of bins is halved upwards. That makes 1.37 million parameters a source; the paper has
         about 1.2 million. The Wiener filter is dsp.wiener.

    mixture ─ STFT ─┬─ |X| ─┬─ target ─┬─ Wiener filter ─ inverse STFT ─ estimates
                    │       ├─ target ─┤        │
                    │       └─ …       ┘        │
                    └────────── X ──────────────┘

B batch · S source · C channel · T time · N frame · F bin · H hidden
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

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

# Least and greatest: far beyond the published model, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[int, int]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (16, 65536),
    "hop_length": (1, 32768),
    "final_layers": (1, 16),
    "final_growth": (1, 1024),
    "iterations": (0, 100),
    "frames": (1, 65536),
}
_BRANCH_RANGES: Mapping[str, tuple[int, int]] = {"features": (1, 1024), "growth": (1, 1024)}
_MOST_BANDS = 8
_MOST_DEPTH = 8
_MOST_LAYERS = 16
_MOST_HIDDEN = 4096


@dataclass(frozen=True, slots=True)
class Branch:
    """What one U-net is made from.

    Args:
        features: Channels of the convolution before it.
        growth: Channels of each layer.
        layers: Of each dense block, in the order they are passed; 0 where there is a recurrence alone.
        hidden: Features of each block's recurrence in each direction; 0 where there is none.
    """

    features: int
    growth: int
    layers: tuple[int, ...]
    hidden: tuple[int, ...]

    def faults(self) -> list[str]:
        """Which of its numbers make no U-net."""
        found = out_of_range(self, (), _BRANCH_RANGES)
        if len(self.layers) != len(self.hidden) or len(self.layers) % 2 == 0:
            found.append("layers and hidden must be of one odd length")
        if len(self.layers) > 2 * _MOST_DEPTH + 1:
            found.append(f"a U-net may halve {_MOST_DEPTH} times at most")
        if not all(0 <= layers <= _MOST_LAYERS for layers in self.layers):
            found.append(f"layers must be 0 to {_MOST_LAYERS}")
        if not all(0 <= hidden <= _MOST_HIDDEN for hidden in self.hidden):
            found.append(f"hidden must be 0 to {_MOST_HIDDEN}")
        if any(layers == hidden == 0 for layers, hidden in zip(self.layers, self.hidden, strict=False)):
            found.append("a block must have layers or a recurrence")
        return found

    def built(self) -> dense_bands.Branch:
        """Makes its blocks."""
        makers = [
            partial(DenseLSTM, growth=self.growth, layers=layers, hidden=hidden)
            for layers, hidden in zip(self.layers, self.hidden, strict=True)
        ]
        return dense_bands.Branch(self.features, makers)


@dataclass(frozen=True, slots=True)
class Config:
    """What an MMDenseLSTM is made from; the defaults are the paper's.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        edges: Where bands end, in bins; the last one ends with the spectrum.
        bands: Their U-nets.
        full: The U-net over all bins.
        final_layers: Of the dense block that hears all bands.
        final_growth: Channels of each of these.
        iterations: Of the Wiener filter, in evaluation.
        frames: That it is usually given at once.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    edges: tuple[int, ...] = (380, 1024)
    bands: tuple[Branch, ...] = (
        Branch(32, 14, (5, 5, 5, 5, 5, 5, 5), (0, 0, 0, 64, 0, 64, 0)),
        Branch(32, 4, (4, 4, 4, 4, 4, 4, 4), (0, 0, 0, 16, 0, 0, 0)),
        Branch(32, 2, (1, 1, 0, 1, 1), (0, 0, 4, 0, 0)),
    )
    full: Branch = Branch(8, 7, (3, 3, 4, 5, 5, 5, 4, 3, 3), (0, 0, 0, 0, 64, 0, 0, 64, 0))
    final_layers: int = 3
    final_growth: int = 12
    iterations: int = 1
    frames: int = 1200

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES)
        found += [fault for branch in (*self.bands, self.full) for fault in branch.faults()]
        if len(self.bands) != len(self.edges) + 1 or len(self.bands) > _MOST_BANDS:
            found.append(f"there must be one band more than edges, and at most {_MOST_BANDS}")
        if any(low >= high for low, high in itertools.pairwise((0, *self.edges, self.bins))):
            found.append(f"edges must rise and lie between 0 and {self.bins} bins")
        if found:
            raise ConfigError(f"this makes no MMDenseLSTM: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)

    @property
    def bins(self) -> int:
        """Of a frame's spectrum."""
        return self.n_fft // 2 + 1


class Recurrence(nn.Module):
    """One channel of memory: features as one, read forth and back in time, and spread over the bins again.

    Args:
        source: Channels in.
        bins: In and out.
        hidden: Features in each direction.
    """

    def __init__(self, source: int, bins: int, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, 1, 1)
        self.lstm = nn.LSTM(bins, hidden, bidirectional=True)
        self.linear = nn.Linear(2 * hidden, bins)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)` as `(B, 1, N, F)`."""
        states, _ = self.lstm(self.conv(x)[:, 0].transpose(0, 1))  # (N, B, 2H)
        out: Tensor = self.linear(states)
        return out.transpose(0, 1).unsqueeze(1)


class DenseLSTM(nn.Module):
    """Convolutions of which each hears all before it, and a recurrence beside them.

    Args:
        source: Channels in.
        bins: In and out.
        growth: Channels of each layer; those of the last go out.
        layers: How many; 0: the recurrence alone goes out.
        hidden: Of the recurrence, whose one channel goes out, too; 0: there is none.
    """

    def __init__(self, source: int, bins: int, growth: int, layers: int, hidden: int = 0) -> None:
        super().__init__()
        self.channels = (growth if layers else 0) + (1 if hidden else 0)
        self.layers = nn.ModuleList(NormConv(source + index * growth, growth) for index in range(layers))
        self.recurrence = Recurrence(source, bins, hidden) if hidden else None

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, N, F)`."""
        heard = [x]
        for layer in self.layers:
            heard.append(layer(torch.cat(heard, dim=1)))
        made = heard[1:][-1:]
        if self.recurrence is not None:
            made.append(self.recurrence(x))
        return torch.cat(made, dim=1)


class MMDenseLSTM(nn.Module):
    """Separates a mixture into its sources, by a network for the magnitudes of each and a filter for all.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the paper.
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
        self.targets = nn.ModuleList(
            DenseBands(
                config.audio_channels,
                config.bins,
                edges=(*config.edges, config.bins),
                bands=[band.built() for band in config.bands],
                full=config.full.built(),
                final=partial(DenseLSTM, growth=config.final_growth, layers=config.final_layers),
            )
            for _ in config.sources
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        In training they are not filtered.

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
        require_mixture(mixture, "MMDenseLSTM", config.audio_channels)
        # A single source would get all of the mixture by the filter.
        wiener = WienerFilter(0 if self.training or len(config.sources) == 1 else config.iterations)
        dtype = self.targets[0].get_parameter("gate.weight").dtype
        return separate_magnitudes(inner, mixture, self.stft, wiener, dtype)

    def inner(self, magnitudes: Tensor) -> tuple[Tensor]:
        """Magnitudes of the sources, as the only value."""
        return (self.separated(magnitudes),)

    def separated(self, magnitudes: Tensor) -> Tensor:
        """Magnitudes of all sources `(B, S, C, N, F)` from those of the mixture, `(B, C, N, F)`."""
        return torch.stack([target(magnitudes) for target in self.targets], dim=1)
