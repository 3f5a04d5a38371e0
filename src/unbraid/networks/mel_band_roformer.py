"""Mel-Band RoFormer: a BS-RoFormer whose bands overlap and are equally wide to the ear.

Paper    Wang, Lu, Won, "Mel-band RoFormer for music source separation", ISMIR 2023, late-breaking demo.
Weights  parameter names are those of the published checkpoints.
Differs  estimates are always as long as the mixture; the published code may cut them to whole hops. Segments
         shorter than half a frame are lengthened with zeros before they are reflected; it refuses them.

    mixture ─ STFT ─┬─ bands ─ ( along time ─ norm ─ along bands ─ norm ) × depth ─ masks ─ mean ─ × ─ inverse
                    └──────────────────────────────────────────────────────────────────────────────┘

A bin that two bands share gets the mean of both their masks.

B batch · S source · C channel · T time · F bin · N frame · K band · W re and im of all channels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.dsp.bands import mel_band_edges
from unbraid.dsp.stft import Scaling, Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.axial_transformer import AxialLayers, Position, Sizes
from unbraid.networks.layers.band_split import BandMean, BandSplit, MaskEstimator, masked, parts_of
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.split import Inner

FREE_FIELDS = frozenset({"sources", "zero_dc", "attention_dropout", "dropout"})

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "segment": (1, 2**31),
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "bands": (1, 1024),
    "channels": (1, 4096),
    "depth": (1, 64),
    "linear_layers": (0, 16),
    "time_layers": (1, 16),
    "band_layers": (1, 16),
    "heads": (1, 64),
    "head_channels": (2, 512),
    "mask_layers": (0, 8),
    "mask_expansion": (1, 16),
    "attention_dropout": (0, 0.9),
    "dropout": (0, 0.9),
}
_MOST_LAYERS = 2**15  # of all masks
_LONGEST = 60  # seconds that may be given at once; attention takes time by the square of it


@dataclass(frozen=True, slots=True)
class Config:
    """What a Mel-Band RoFormer is made from; the defaults are the published network for vocals.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz; it also says where the bands lie.
        segment: Samples that the network is given at once.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        normalized: Whether a spectrum is divided by √n_fft.
        bands: How many.
        channels: Of a token.
        depth: Layers, each along time and along bands.
        linear_layers: Depth of a transformer between channels that begins each layer; 0: none.
        time_layers: Depth of a layer's transformer along time.
        band_layers: Depth of the one along bands.
        heads: Of an attention.
        head_channels: Of a head; even.
        skip_connection: Whether a layer hears the sum of all earlier layers' outputs, too.
        mask_layers: Hidden layers between a band's token and its mask.
        mask_expansion: By how much these are wider than a token.
        zero_dc: Whether the estimates have nothing at 0 Hz.
        attention_dropout: Probability of dropping a weight of an attention in training.
        dropout: Probability of dropping a value of a feed-forward layer in training.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals",)
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 352_800
    n_fft: int = 2048
    hop_length: int = 441
    normalized: bool = False
    bands: int = 60
    channels: int = 384
    depth: int = 6
    linear_layers: int = 0
    time_layers: int = 1
    band_layers: int = 1
    heads: int = 8
    head_channels: int = 64
    skip_connection: bool = False
    mask_layers: int = 2
    mask_expansion: int = 4
    zero_dc: bool = True
    attention_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Mel-Band RoFormer: {'; '.join(found)}")
        _ = self.stft, self.edges  # say what is wrong with a frame, a hop or a band

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        masks = len(self.sources) * self.bands * (self.mask_layers + 1)
        faults = {
            "head_channels must be even": self.head_channels % 2 != 0,
            "sources, bands and mask_layers make too many masks": masks > _MOST_LAYERS,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def stft(self) -> Stft:
        """The transform around the network."""
        scaling = Scaling.UNITARY if self.normalized else Scaling.PLAIN
        return Stft(self.n_fft, self.hop_length, scaling=scaling)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """First bin of each band, and the one behind its last."""
        return mel_band_edges(self.sample_rate, self.n_fft, self.bands)


class MelBandRoformer(nn.Module):
    """Separates a mixture by a complex mask for each source. Takes mixtures of any length.

    Args:
        config: Sizes and sources; None: those of the published network for vocals.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.stft = config.stft
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment,
            longest=max(config.segment, _LONGEST * config.sample_rate),
        )
        sizes = Sizes(
            channels=config.channels,
            heads=config.heads,
            head_channels=config.head_channels,
            bias=False,
            normed=True,
            attention_dropout=config.attention_dropout,
            dropout=config.dropout,
        )
        bands, width = config.edges, 2 * config.audio_channels
        self.band_split = BandSplit(bands, width, config.channels)
        self.layers = AxialLayers(
            sizes,
            config.depth,
            linear=config.linear_layers,
            time=config.time_layers,
            band=config.band_layers,
            position=Position.ROTARY,
            skip_connection=config.skip_connection,
        )
        self.mask_estimators = nn.ModuleList(
            MaskEstimator(
                bands,
                width,
                config.channels,
                hidden_layers=config.mask_layers,
                hidden_channels=config.mask_expansion * config.channels,
            )
            for _ in config.sources
        )
        self.mean = BandMean(bands)

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
        """What stands before and after the layers; spectra are in float32 at least.

        Args:
            inner: `self.inner`, or what computes the same.
            mixture: As for `forward`.
        """
        require_mixture(mixture, "Mel-Band RoFormer", self.config.audio_channels)
        dtype = next(self.parameters()).dtype
        spectrum = self.stft(mixture.to(torch.promote_types(dtype, torch.float32)))
        (masks,) = inner(parts_of(spectrum).to(dtype))
        estimates = [
            self.stft.inverse(masked(spectrum, mask, zero_dc=self.config.zero_dc), mixture.shape[-1])
            for mask in masks.unbind(1)
        ]
        return torch.stack(estimates, dim=1).to(mixture.dtype)

    def inner(self, features: Tensor) -> tuple[Tensor, ...]:
        """The layers: from the mixture's spectrum `(B, N, F, W)` to the masks `(B, S, N, F, W)`."""
        tokens = self.layers(self.band_split(features))
        masks = [self.mean(estimator(tokens)) for estimator in self.mask_estimators]
        return (torch.stack(masks, dim=1),)
