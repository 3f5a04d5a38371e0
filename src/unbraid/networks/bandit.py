"""Bandit: speech, music and effects of a film, by overlapping bands that are as wide as the ear's.

Paper    Watcharasupat, Wu, Ding, Li, Lerch, "A generalized bandsplit neural network for cinematic audio
         source separation", IEEE Open Journal of Signal Processing 2024; the second version is Watcharasupat,
         Wu, Orife, "Remastering divide and remaster: a cinematic audio source separation dataset with
         multilingual support", 2024.
Weights  parameter names are those of the published checkpoints without the first version's `bsrnn.`.
Differs  the two versions are one network: features and weights of the second are sorted as in the first.
         The mean over overlapping bands is taken of the mask as a whole.

    spectrum ─ band_split ─ [ along time ─ across bands ] × layers ─┬─ mask_estim ─ × spectrum ─ speech
                                                                    ├─ mask_estim ─ × spectrum ─ music
                                                                    └─ …

Each channel is separated on its own.

B row: one channel of one mixture · S source · C channel · T time · F bin · N frame · K band · H hidden
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.dsp.stft import Padding, Scaling, Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.musical_bands import musical_bands
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**27),
    "n_fft": (4, 32_768),
    "hop_length": (1, 16_384),
    "bands": (2, 256),
    "features": (1, 4096),
    "layers": (0, 64),
    "hidden_size": (1, 4096),
    "mask_hidden_size": (1, 8192),
}
_LONGEST = 60  # seconds that may be given at once; memory grows with them


class Recurrence(str, Enum):
    """What remembers."""

    GRU = "gru"
    LSTM = "lstm"

    def module(self, features: int, hidden_size: int) -> nn.GRU | nn.LSTM:
        """One layer of it that reads rows of features in both directions."""
        kind = nn.GRU if self is Recurrence.GRU else nn.LSTM
        return kind(features, hidden_size, batch_first=True, bidirectional=True)


@dataclass(frozen=True, slots=True)
class Config:
    """What a Bandit is made from; the defaults are the published Bandit Plus.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture; each is separated on its own.
        sample_rate: In Hz; it decides the bands, too.
        segment: Samples it should be given at once.
        n_fft: Samples of an STFT frame.
        hop_length: Samples between two frames.
        padding: What stands beyond the edges of a segment.
        bands: How many bands.
        features: Of a band.
        layers: How often time and bands are gone along.
        recurrence: What goes along them.
        hidden_size: Of the recurrence, in each direction.
        mask_hidden_size: Of the layer between features and mask.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("speech", "music", "effects")
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 264_600
    n_fft: int = 2048
    hop_length: int = 512
    padding: Padding = Padding.ZERO
    bands: int = 64
    features: int = 128
    layers: int = 8
    recurrence: Recurrence = Recurrence.GRU
    hidden_size: int = 256
    mask_hidden_size: int = 512

    def __post_init__(self) -> None:
        if found := out_of_range(self, self.sources, _RANGES):
            raise ConfigError(f"this makes no Bandit: {'; '.join(found)}")
        if unfit := [name for name in self.sources if not name or "." in name]:
            # A source's name is part of the names of its weights.
            raise ConfigError(f"this makes no Bandit: a source is named {unfit[0]!r}, and must have no dot")
        _ = self.stft, self.table  # say what is wrong with frames or bands

    @property
    def stft(self) -> Stft:
        """The transform from signal to spectrum."""
        return Stft(self.n_fft, self.hop_length, padding=self.padding, scaling=Scaling.UNITARY)

    @property
    def table(self) -> tuple[tuple[int, int], ...]:
        """First bin of each band, and the one behind its last."""
        return musical_bands(self.sample_rate, self.n_fft, self.bands)


class NormLinear(nn.Module):
    """Features of a band, at one level.

    Args:
        width: Real and imaginary parts of the band's bins.
        features: Of the band.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, features)

    def forward(self, parts: Tensor) -> Tensor:
        """Parts `(B, N, width)` as features `(B, N, H)`."""
        features: Tensor = self.fc(self.norm(parts))
        return features


class BandSplit(nn.Module):
    """A spectrum as features of its bands.

    Args:
        table: First bin of each band, and the one behind its last.
        features: Of a band.
    """

    def __init__(self, table: Sequence[tuple[int, int]], features: int) -> None:
        super().__init__()
        self.table = tuple(table)
        self.norm_fc_modules = nn.ModuleList(NormLinear(2 * (end - start), features) for start, end in table)

    def forward(self, parts: Tensor) -> Tensor:
        """Real and imaginary parts `(B, N, 2, F)` as features `(B, K, N, H)`."""
        bands = zip(self.table, self.norm_fc_modules, strict=True)
        return torch.stack([module(parts[..., start:end].flatten(2)) for (start, end), module in bands], 1)


class ResidualRecurrence(nn.Module):
    """Adds to a sequence what remembering it in both directions makes of it.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.features)
        self.rnn = config.recurrence.module(config.features, config.hidden_size)
        self.fc = nn.Linear(2 * config.hidden_size, config.features)

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, K, N, H)`, along N; same shape."""
        states, _ = self.rnn(self.norm(features).flatten(0, 1))
        remembered: Tensor = self.fc(states)
        return features + remembered.view_as(features)


class Sequences(nn.Module):
    """Goes along time and across bands by turns.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.seqband = nn.ModuleList(ResidualRecurrence(config) for _ in range(2 * config.layers))

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, K, N, H)`, same shape."""
        for module in self.seqband:
            features = module(features).transpose(1, 2)
        return features


class NormMask(nn.Module):
    """The mask of one band.

    Args:
        width: Real and imaginary parts of the band's bins.
        config: Sizes.
    """

    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.features)
        self.hidden = nn.Sequential(nn.Linear(config.features, config.mask_hidden_size), nn.Tanh())
        self.output = nn.Sequential(nn.Linear(config.mask_hidden_size, 2 * width), nn.GLU(dim=-1))

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, N, H)` as a mask `(B, N, bins, 2)`."""
        mask: Tensor = self.output(self.hidden(self.norm(features)))
        return torch.unflatten(mask, -1, (-1, 2))


class MaskEstimator(nn.Module):
    """The mask of one source: the sum of its bands' masks.

    Args:
        config: Sizes and bands.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.table, self.bins = config.table, config.n_fft // 2 + 1
        self.norm_mlp = nn.ModuleList(NormMask(2 * (end - start), config) for start, end in self.table)

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, K, N, H)` as a mask `(B, N, F, 2)`."""
        masks = [module(band) for module, band in zip(self.norm_mlp, features.unbind(1), strict=True)]
        total: Tensor = masks[0].new_zeros(*masks[0].shape[:2], self.bins, 2)
        for (start, end), mask in zip(self.table, masks, strict=True):
            total[:, :, start:end] += mask
        return total


class Bandit(nn.Module):
    """Separates a mixture into its sources, by a complex mask for each.

    Takes mixtures of any length; memory grows with it.

    Args:
        config: Sizes and sources; None: those of the published Bandit Plus.
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
            longest=max(config.segment, _LONGEST * config.sample_rate),
        )
        self.band_split = BandSplit(config.table, config.features)
        self.tf_model = Sequences(config)
        self.mask_estim = nn.ModuleDict({name: MaskEstimator(config) for name in config.sources})

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
        """What stands before and after the layers: the transform, the mask, and the transform back.

        Args:
            inner: The layers, or what does the same.
            mixture: `(B, C, T)`.

        Returns:
            Estimates, `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or no samples.
        """
        require_mixture(mixture, "Bandit", self.config.audio_channels)
        dtype = next(self.parameters()).dtype
        exact = torch.promote_types(dtype, torch.float32)
        stft = self.config.stft
        spectrum = stft(mixture.to(exact).flatten(0, 1))  # (B, F, N)
        (masks,) = inner(torch.view_as_real(spectrum).permute(0, 2, 3, 1).to(dtype))
        masks = torch.view_as_complex(masks.to(exact).contiguous()).transpose(-1, -2)  # (B, S, F, N)
        spectra = masks * (spectrum / self._coverage(spectrum))[:, None]
        estimates = stft.inverse(spectra, mixture.shape[-1])
        return torch.unflatten(estimates, 0, mixture.shape[:2]).transpose(1, 2).to(mixture.dtype)

    def inner(self, parts: Tensor) -> tuple[Tensor, ...]:
        """The layers.

        Args:
            parts: Real and imaginary parts of the spectrum of each channel, `(B, N, 2, F)`.

        Returns:
            Masks of the sources, each the sum over overlapping bands, `(B, S, N, F, 2)`.
        """
        features = self.tf_model(self.band_split(parts))
        return (torch.stack([module(features) for module in self.mask_estim.values()], 1),)

    def _coverage(self, like: Tensor) -> Tensor:
        """How many bands have each bin, `(F, 1)`."""
        counts = torch.zeros(self.config.n_fft // 2 + 1, 1)
        for start, end in self.config.table:
            counts[start:end] += 1
        return counts.to(like.real)
