"""BSRNN: a complex mask for one source, by recurrent layers along time and along bands of unequal width.

Paper    Luo, Yu, "Music source separation with band-split RNN", IEEE/ACM TASLP 31, 2023.
Weights  parameter names are those of the one public checkpoint, github.com/amanteur/BandSplitRNN-PyTorch.
Differs  as in these weights, a mixture's spectrum is brought to mean 0 and deviation 1 before it is masked,
         norms weigh each frame of a segment on its own, which fixes its length, and channels are heard
         together. `joint` and `apart` choose the paper's ways.

    mixture ─ STFT ─ level ┬ bands ─ ( along time ─ along bands ) × depth ─ mask ─ × ─ level ─ inverse
                           └───────────────────────────────────────────────────────┘

B batch · C channel · T time · F bin · N frame · K band · W real and imaginary parts of all channels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError, ShapeError
from unbraid.networks.layers.band_split import neighbours
from unbraid.networks.layers.dual_path import DualPath
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unbraid.split import Inner

# Bins of each band at 44.1 kHz and 2048 samples a frame. Section IV.B of the paper gives them in hertz: fine
# where the source has its notes, coarse above. Vocals and others share a table, the paper's "V7".
VOCALS_BANDS = (
    *(5, 5, 4, 5, 5, 4, 5, 5, 4, 5),  # 100 Hz each up to 1 kHz
    *(12, 11, 12, 11, 12, 12, 11, 12, 11, 12, 12, 11),  # 250 Hz up to 4 kHz
    *(23, 24, 23, 23, 23, 24, 23, 23),  # 500 Hz up to 8 kHz
    *(46, 47, 46, 47, 46, 47, 46, 47),  # 1 kHz up to 16 kHz
    *(92, 93),  # 2 kHz up to 20 kHz
    96,  # what is left
)
BASS_BANDS = (
    *(3, 2, 2, 3, 2, 2, 3, 2, 2, 3),  # 50 Hz each up to 500 Hz
    *(4, 5, 5, 4, 5),  # 100 Hz up to 1 kHz
    *(23, 23, 24, 23, 23, 23),  # 500 Hz up to 4 kHz
    *(47, 46, 47, 46),  # 1 kHz up to 8 kHz
    *(93, 93, 93, 93),  # 2 kHz up to 16 kHz
    281,  # what is left
)
DRUMS_BANDS = (
    *(3, 2, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2, 3, 2),  # 50 Hz each up to 1 kHz
    *(5, 4, 5, 5, 4, 5, 4, 5, 5, 4),  # 100 Hz up to 2 kHz
    *(12, 12, 11, 12, 11, 12, 12, 11),  # 250 Hz up to 4 kHz
    *(23, 24, 23, 23, 23, 24, 23, 23),  # 500 Hz up to 8 kHz
    *(46, 47, 46, 47, 46, 47, 46, 47),  # 1 kHz up to 16 kHz
    281,  # what is left
)

FREE_FIELDS = frozenset({"sources"})

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "frames": (2, 2**14),
    "channels": (1, 4096),
    "hidden": (1, 4096),
    "depth": (1, 64),
    "mask_channels": (1, 16_384),
}
_MOST_BANDS = 1024
_LONGEST = 60  # seconds that may be given at once, where norms leave the length free
_EPS = 1e-5  # added to a spectrum's deviation


@dataclass(frozen=True, slots=True)
class Config:
    """What a BSRNN is made from; the defaults are the published network for vocals.

    Args:
        sources: The name of the one source.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples from one frame to the next.
        frames: Of a segment.
        bands: Bins of each band, from the lowest; together n_fft / 2 + 1.
        channels: Of a token.
        hidden: Channels of a recurrence in each direction.
        depth: How often the grid is read along time and along bands.
        mask_channels: Between a band's token and its mask.
        joint: Whether norms of a band look at all frames of a segment together, with weights for each, so
            that its length is fixed; otherwise at each frame by itself.
        apart: Whether channels are separated one by one, with the same weights.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    sources: tuple[str, ...] = ("vocals",)
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    frames: int = 263
    bands: tuple[int, ...] = VOCALS_BANDS
    channels: int = 128
    hidden: int = 256
    depth: int = 12
    mask_channels: int = 512
    joint: bool = True
    apart: bool = False

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no BSRNN: {'; '.join(found)}")
        Stft(self.n_fft, self.hop_length)  # says what is wrong with a frame or a hop

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        bins, total, count = self.n_fft // 2 + 1, sum(self.bands), len(self.bands)
        faults = {
            f"there must be one source, not {len(self.sources)}": len(self.sources) != 1,
            f"bands must be 1 to {_MOST_BANDS}, each of one bin or more": not 0 < count <= _MOST_BANDS
            or min(self.bands) < 1,
            f"bands must hold {bins} bins together, which n_fft makes, not {total}": total != bins,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def width(self) -> int:
        """Numbers of a bin: real and imaginary parts of the channels that are heard together."""
        return 2 if self.apart else 2 * self.audio_channels

    @property
    def segment(self) -> int:
        """Samples given to the network at once."""
        return self.hop_length * (self.frames - 1)


class BandSplit(nn.Module):
    """Bands become tokens of one size, each through a norm and a linear layer of its own.

    Args:
        bands: First bin, and the one behind the last, of each.
        config: The network's.
    """

    def __init__(self, bands: Sequence[tuple[int, int]], config: Config) -> None:
        super().__init__()
        self.bands, self.joint = bands, config.joint
        sizes = [(end - start) * config.width for start, end in bands]
        self.layernorms = nn.ModuleList(
            nn.LayerNorm([size, config.frames] if config.joint else size) for size in sizes
        )
        self.fcs = nn.ModuleList(nn.Linear(size, config.channels) for size in sizes)

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, W, F, N)` as tokens `(B, K, N, channels)`."""
        tokens = []
        for (start, end), norm, linear in zip(self.bands, self.layernorms, self.fcs, strict=True):
            band = features[:, :, start:end].flatten(1, 2)  # (B, W · bins, N)
            tokens.append(
                linear(norm(band).transpose(-1, -2) if self.joint else norm(band.transpose(-1, -2)))
            )
        return torch.stack(tokens, dim=1)


class GatedLinear(nn.Module):
    """A linear layer of which one half decides how much of the other counts.

    Args:
        channels: In and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(..., channels)`, same shape."""
        return F.glu(self.linear(x), dim=-1)


class MaskOf(nn.Module):
    """The mask of a band from its normed token.

    Args:
        channels: Of a token.
        hidden: Channels in between.
        size: Numbers of the band's bins.
    """

    def __init__(self, channels: int, hidden: int, size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.Tanh(), nn.Linear(hidden, size), GatedLinear(size)
        )

    def forward(self, token: Tensor) -> Tensor:
        """Tokens `(B, N, channels)` as masks `(B, N, size)`."""
        mask: Tensor = self.mlp(token)
        return mask


class MaskEstimator(nn.Module):
    """From each band's token to the mask of its bins, through a norm and layers of its own.

    Args:
        bands: First bin, and the one behind the last, of each.
        config: The network's.
    """

    def __init__(self, bands: Sequence[tuple[int, int]], config: Config) -> None:
        super().__init__()
        self.width = config.width
        shape = [config.frames, config.channels] if config.joint else [config.channels]
        self.layernorms = nn.ModuleList(nn.LayerNorm(shape) for _ in bands)
        self.mlp = nn.ModuleList(
            MaskOf(config.channels, config.mask_channels, (end - start) * config.width)
            for start, end in bands
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, K, N, channels)` as a mask `(B, W, F, N)`."""
        masks = [
            layer(norm(token)).transpose(-1, -2).unflatten(1, (self.width, -1))
            for norm, layer, token in zip(self.layernorms, self.mlp, tokens.unbind(1), strict=True)
        ]
        return torch.cat(masks, dim=2)


class Bandsequence(nn.Module):
    """Reads the grid of bands and frames again and again, along time and along bands.

    Args:
        config: The network's.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bsrnn = nn.ModuleList(DualPath(config.channels, config.hidden) for _ in range(config.depth))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, K, N, C)`, same shape."""
        for layer in self.bsrnn:
            tokens = layer(tokens)
        return tokens


class BSRNN(nn.Module):
    """Separates one source by a complex mask.

    With joint norms it takes exactly its segment: a shorter mixture is lengthened with zeros, a longer one
    refused. Without them it takes mixtures of any length.

    Args:
        config: Sizes and source; None: those of the published network for vocals.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        config = config or Config()
        self.config = config
        self.stft = Stft(config.n_fft, config.hop_length)
        longest = None if config.joint else max(config.segment, _LONGEST * config.sample_rate)
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment,
            fixed=config.joint,
            longest=longest,
        )
        bands = neighbours(config.bands)
        self.bandsplit = BandSplit(bands, config)
        self.bandsequence = Bandsequence(config)
        self.maskest = MaskEstimator(bands, config)

    def forward(self, mixture: Tensor) -> Tensor:
        """The estimate of the source.

        Args:
            mixture: `(B, C, T)`; with joint norms T at most the segment.

        Returns:
            `(B, 1, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, no samples, or is too long.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """What stands before and after the layers; spectra and levels are in float32 at least.

        Args:
            inner: `self.inner`, or what computes the same.
            mixture: As for `forward`.
        """
        dtype = next(self.parameters()).dtype
        signal = self._fitted(mixture).to(torch.promote_types(dtype, torch.float32))
        if self.config.apart:
            signal = signal.flatten(0, 1)[:, None]
        spectrum = self.stft(signal)  # (B, C, F, N)
        mean = spectrum.mean((1, 2, 3), keepdim=True)
        deviation = (spectrum - mean).abs().square().sum((1, 2, 3), keepdim=True)
        deviation = (deviation / (spectrum[0].numel() - 1)).sqrt()
        level = (spectrum - mean) / (deviation + _EPS)
        features = torch.view_as_real(level).movedim(-1, 2).flatten(1, 2)  # (B, W, F, N)
        (mask,) = inner(features.to(dtype))
        parts = mask.to(signal.dtype).reshape(len(mask), -1, 2, *mask.shape[2:]).movedim(2, -1).contiguous()
        masked = torch.view_as_complex(parts) * level * deviation + mean
        estimate = self.stft.inverse(masked, mixture.shape[-1])
        return estimate.view(mixture.shape)[:, None].to(mixture.dtype)

    def inner(self, features: Tensor) -> tuple[Tensor, ...]:
        """The layers: from the mixture's spectrum `(B, W, F, N)`, at its level, to the mask, same shape."""
        return (self.maskest(self.bandsequence(self.bandsplit(features))),)

    def _fitted(self, mixture: Tensor) -> Tensor:
        """The mixture at the length that the network takes."""
        require_mixture(mixture, "BSRNN", self.config.audio_channels)
        missing = self.spec.segment - mixture.shape[-1] if self.spec.fixed else 0
        if missing < 0:
            raise ShapeError(
                f"the mixture has {mixture.shape[-1]} samples; this BSRNN takes at most {self.spec.segment} "
                "at once, longer ones are cut into segments by the engine"
            )
        return F.pad(mixture, (0, missing))
