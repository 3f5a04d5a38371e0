"""Apollo: what a lossy codec took from a recording, put back; bands that hear each other, frame by frame.

Paper    Li, Luo, "Apollo: band-sequence modeling for high-quality audio restoration", ICASSP 2025.
Weights  parameter names are those of the published checkpoints.
Differs  features come last in memory, so that what acts on one band and frame is a product of matrices.

                    ┌─ 6 layers ───────────────────────────────────────┐
    mixture ─ bands ┤ attention among the bands of a frame             ├ spectrum ─ restored
                    │ convolutions along the frames of a band, 3 times │
                    └──────────────────────────────────────────────────┘

It separates nothing: its one source is the recording itself, restored. Each channel is heard by itself.
Nothing looks further than 0.6 seconds, so an estimate does not depend on how a track is cut.

B batch · S source · C channel · T time · F bin · N frame · K band · D feature · H head
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError
from unbraid.networks.layers.complex_parts import parts_of, spectrum_of
from unbraid.networks.layers.norm import root_mean_square_one
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
    "segment": (1, 2**26),
    "n_fft": (160, 65_536),
    "channels": (16, 4096),
    "layers": (1, 64),
}
_LONGEST = 3600  # seconds that may be read at once: the published program reads whole tracks

# Fields that change no weight.
FREE_FIELDS = frozenset({"sources", "audio_channels", "segment"})

# All as published.
_BANDS = 80  # of equal width, but for the highest, which has what is left
_HEADS = 8
_POSITIONS = 100  # that the stored tables have; there are fewer bands
_THETA = 10_000.0
_CONVOLUTIONS = 3  # of each layer, along the frames
_KERNEL = 7  # of each, in frames
_EPS = 1e-5  # of norms
_POWER_EPS = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True)
class Config:
    """What an Apollo is made from; the defaults are the published network for MP3 files.

    Args:
        sources: The name of what comes out.
        audio_channels: Of the recording.
        sample_rate: In Hz.
        segment: Samples it is usually given at once.
        n_fft: Samples of an STFT frame; the hop is half of it.
        channels: Features of a band and frame.
        layers: How many follow each other.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("restored",)
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 132_300
    n_fft: int = 882
    channels: int = 256
    layers: int = 6

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no Apollo: {'; '.join(found)}")
        Stft(self.n_fft, self.n_fft // 2)

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "there must be one source, the recording restored": len(self.sources) != 1,
            f"channels must be a multiple of {2 * _HEADS}": self.channels % (2 * _HEADS) != 0,
            f"segment must be longer than {2 * self.look}, which is heard around its estimates":
                self.segment <= 2 * self.look,
        }  # fmt: skip
        return [rule for rule, broken in faults.items() if broken]

    @property
    def band_sizes(self) -> list[int]:
        """How many bins each band has."""
        size = self.n_fft // (2 * _BANDS)
        return [size] * (_BANDS - 1) + [self.n_fft // 2 + 1 - (_BANDS - 1) * size]

    @property
    def look(self) -> int:
        """How many samples before and behind one matter to its estimate."""
        frames = self.layers * _CONVOLUTIONS * (_KERNEL // 2)
        return frames * (self.n_fft // 2) + self.n_fft  # and half a frame on the way in and on the way out


class FeatureNorm(nn.RMSNorm):
    """Features of one band and frame at a root mean square of 1, each times a learned gain.

    Args:
        channels: How many features.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(..., D)`, same shape."""
        return root_mean_square_one(x, self.weight, _EPS)


class Pointwise(nn.Conv1d):
    """A linear layer whose weight is that of a convolution of kernel 1.

    Args:
        source: Features in.
        target: Features out.
        bias: Whether it has one.
    """

    def __init__(self, source: int, target: int, *, bias: bool = True) -> None:
        super().__init__(source, target, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(..., D)` to `(..., D')`."""
        return F.linear(x, self.weight[..., 0], self.bias)


class BandAttention(nn.Module):
    """The bands of one frame gather from each other, told apart by rotation; then a gated layer for each.

    Args:
        channels: Features in and out.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """

    cos_freq: Tensor
    sin_freq: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        cosines, sines = _rotations(channels // _HEADS)
        self.register_buffer("cos_freq", cosines)
        self.register_buffer("sin_freq", sines)
        self.input_norm = FeatureNorm(channels)
        self.weight = Pointwise(channels, 3 * channels, bias=False)
        self.output = Pointwise(channels, channels, bias=False)
        self.MLP = nn.Sequential(
            FeatureNorm(channels), Pointwise(channels, 8 * channels, bias=False), nn.SiLU()
        )
        self.MLP_output = Pointwise(4 * channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, K, N, D)`, same shape."""
        x = x + self.output(self._gathered(self.weight(self.input_norm(x))))
        gate, value = self.MLP(x).chunk(2, dim=-1)
        # The gate has gone through the activation before: so it was published.
        out: Tensor = x + self.MLP_output(F.silu(gate) * value)
        return out

    def _gathered(self, packed: Tensor) -> Tensor:
        """What each band gathers, `(B, K, N, D)`; queries, keys and values come packed, `(B, K, N, 3D)`."""
        batch, bands, frames, _ = packed.shape
        heads = packed.view(batch, bands, frames, _HEADS, 3, -1)
        query, key, value = heads.permute(4, 0, 2, 3, 1, 5).flatten(1, 2)  # (B·N, H, K, D / H) each
        out = F.scaled_dot_product_attention(self._rotated(query), self._rotated(key), value)
        return out.view(batch, frames, _HEADS, bands, -1).permute(0, 3, 1, 2, 4).flatten(3)

    def _rotated(self, x: Tensor) -> Tensor:
        """Tokens `(B, H, K, D)`, each pair of features turned by the band's place."""
        bands = x.shape[2]
        first, second = torch.unflatten(x, -1, (-1, 2)).unbind(-1)
        turned = torch.stack([-second, first], dim=-1).flatten(-2)
        return x * self.cos_freq[:bands] + turned * self.sin_freq[:bands]


def _rotations(size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each place's turn of each feature, `(places, D)`; pairs of features turn alike."""
    rates = 1 / _THETA ** (torch.arange(0, size, 2) / size)
    angles = torch.outer(torch.arange(_POSITIONS).float(), rates).repeat_interleave(2, dim=1)
    return angles.cos(), angles.sin()


class FrameConvolution(nn.Module):
    """A convolution along the frames, each feature by itself, then two layers for each frame; all residual.

    Args:
        channels: Features in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(channels, channels, _KERNEL, padding=_KERNEL // 2, groups=channels),
            FeatureNorm(channels),
            Pointwise(channels, 4 * channels),
            nn.SiLU(),
            Pointwise(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, N, D)`, same shape."""
        along, *layers = self.conv
        y: Tensor = along(x.transpose(1, 2)).transpose(1, 2)
        for layer in layers:
            y = layer(y)
        return x + y


class FrameConvolutions(nn.Module):
    """Convolutions along the frames of each band.

    Args:
        channels: Features in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(FrameConvolution(channels) for _ in range(_CONVOLUTIONS)))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, K, N, D)`, same shape."""
        out: Tensor = self.blocks(x.flatten(0, 1))
        return out.view(x.shape)


class Layer(nn.Module):
    """Attention among bands, then convolutions along frames.

    Args:
        channels: Features in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.band_net = BandAttention(channels)
        self.seq_net = FrameConvolutions(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, K, N, D)`, same shape."""
        out: Tensor = self.seq_net(self.band_net(x))
        return out


class Apollo(nn.Module):
    """Restores a recording that went through a lossy codec.

    Takes recordings of any length; memory grows with it.

    Args:
        config: Sizes; None: those of the published network for MP3 files.
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
            context=config.look,
            longest=max(config.segment, _LONGEST * config.sample_rate),
        )
        self.stft = Stft(config.n_fft, config.n_fft // 2)
        self.BN = nn.ModuleList(
            nn.Sequential(FeatureNorm(2 * bins + 1), Pointwise(2 * bins + 1, config.channels))
            for bins in config.band_sizes
        )
        self.net = nn.Sequential(*(Layer(config.channels) for _ in range(config.layers)))
        self.output = nn.ModuleList(
            nn.Sequential(FeatureNorm(config.channels), Pointwise(config.channels, 4 * bins), nn.GLU(-1))
            for bins in config.band_sizes
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """The recording restored.

        Args:
            mixture: `(B, C, T)`.

        Returns:
            `(B, 1, C, T)`.

        Raises:
            ShapeError: If the recording has another number of axes or channels, or no samples.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """What is done to a recording before the layers, and to what they give.

        Args:
            inner: This network's `inner`, or another that does the same.
            mixture: `(B, C, T)`.

        Returns:
            `(B, 1, C, T)`.
        """
        require_mixture(mixture, "Apollo", self.config.audio_channels)
        # Half precision is for the layers; spectra and their powers need float32 at least.
        dtype = next(self.parameters()).dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32)).flatten(0, 1)[:, None]
        spectrum, levels = self._levelled(parts_of(self.stft(signal)))
        (parts,) = inner(spectrum.to(dtype), levels.to(dtype))
        restored = self.stft.inverse(spectrum_of(parts.to(signal.dtype)), mixture.shape[-1])
        return restored.view(len(mixture), 1, *mixture.shape[1:]).to(mixture.dtype)

    def _levelled(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """Each band of each frame at a norm of 1, with the logarithm of what it was.

        Args:
            parts: `(B, 2, F, N)`.

        Returns:
            `(B, 2, F, N)` and `(B, K, N)`.
        """
        bands = torch.split(parts, self.config.band_sizes, dim=2)
        norms = [(band.square().sum((1, 2)) + _POWER_EPS).sqrt() for band in bands]
        levelled = [band / norm[:, None, None] for band, norm in zip(bands, norms, strict=True)]
        return torch.cat(levelled, dim=2), torch.stack(norms, dim=1).log()

    def inner(self, spectrum: Tensor, levels: Tensor) -> tuple[Tensor, ...]:
        """The layers; the channels of a recording are rows of their own.

        Args:
            spectrum: Real and imaginary parts, each band of each frame at a norm of 1, `(B, 2, F, N)`.
            levels: The logarithm of what that norm was, `(B, K, N)`.

        Returns:
            Real and imaginary parts of the restored spectrum, `(B, 2, F, N)`.
        """
        sizes = self.config.band_sizes
        bands = spectrum.flatten(1, 2).transpose(1, 2)  # (B, N, 2F)
        real, imaginary = (torch.split(half, sizes, dim=2) for half in bands.chunk(2, dim=2))
        features = [
            module(torch.cat([*parts, level], dim=-1))
            for module, *parts, level in zip(
                self.BN, real, imaginary, levels[..., None].unbind(1), strict=True
            )
        ]
        x = self.net(torch.stack(features, dim=1))  # (B, K, N, D)
        found = [module(band) for module, band in zip(self.output, x.unbind(1), strict=True)]
        halves = zip(*(band.chunk(2, dim=-1) for band in found), strict=True)
        return (torch.stack([torch.cat(half, dim=-1).transpose(1, 2) for half in halves], dim=1),)
