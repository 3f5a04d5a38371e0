"""What Open-Unmix and X-UMX share: sizes, the network of one source, and the way from signal to signal.

    |X| ─ crop, scale ─ fc1, bn1, tanh ─┬─ lstm ─┬─ fc2, bn2, relu ─ fc3, bn3, scale, relu ─ mask
                                        └────────┘

Source   Stöter, Uhlich, Liutkus, Mitsufuji, "Open-Unmix – a reference implementation for music source
         separation", JOSS 4(41), 2019.

B batch · S source · C channel · T time · F bin · N frame · H hidden
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.dsp.wiener import WienerFilter
    from unbraid.split import Inner

# Least and greatest: far beyond the published models, and small enough that no file can claim a network that
# takes minutes to lay out or fills the memory.
_RANGES: Mapping[str, tuple[float, float]] = {
    "audio_channels": (1, 64),
    "sample_rate": (1, 768_000),
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "hidden_size": (1, 8192),
    "layers": (1, 16),
    "iterations": (0, 100),
    "frames": (2, 2**20),
}
# Fields that change no weight.
FREE_FIELDS = frozenset({"iterations", "softmask", "wiener_window", "frames"})
_DROPOUT = 0.4  # between the recurrent layers; as published
_LONGEST = (
    3600  # seconds that may be read at once, which is what the published programs do with a whole track
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What networks of this family are made from.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples between two frames.
        max_bin: How many bins, from the lowest, are looked at; all are separated.
        hidden_size: Of a frame's features; even, where it is read in both directions.
        layers: Of the recurrence.
        unidirectional: True: it looks into the past alone.
        iterations: Of the Wiener filter; without effect on a single source.
        softmask: True: the filter begins with shares of the mixture, False: with the magnitudes.
        wiener_window: Frames that share their covariances; None: all.
        frames: That it should be given at once; the whole track may be.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    title: ClassVar[str]

    sources: tuple[str, ...]
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    max_bin: int = 1487
    hidden_size: int = 512
    layers: int = 3
    unidirectional: bool = False
    iterations: int = 1
    softmask: bool = False
    wiener_window: int | None = None
    frames: int = 1200

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or self._contradictions()
        if found:
            raise ConfigError(f"this makes no {self.title}: {'; '.join(found)}")

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            "n_fft must be even and a multiple of hop_length, at least twice as much": self.n_fft % 2 != 0
            or self.n_fft % self.hop_length != 0
            or self.n_fft < 2 * self.hop_length,
            f"max_bin must be 1 to {self.bins}, which is n_fft / 2 + 1": not 1 <= self.max_bin <= self.bins,
            "hidden_size must be even, half for each direction": not self.unidirectional
            and self.hidden_size % 2 != 0,
            "wiener_window must be at least 1 frame": self.wiener_window is not None
            and self.wiener_window < 1,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def bins(self) -> int:
        """Of a frame's spectrum."""
        return self.n_fft // 2 + 1

    @property
    def stft(self) -> Stft:
        """The transform from signal to spectrum."""
        return Stft(self.n_fft, self.hop_length)

    def spec(self, sources: tuple[str, ...]) -> ModelSpec:
        """What a network with these sources says of itself.

        A signal of n hops has n + 1 centred frames; a sample less, and it has n.
        """
        segment = self.frames * self.hop_length - 1
        return ModelSpec(
            sources=sources,
            sample_rate=self.sample_rate,
            channels=self.audio_channels,
            segment=segment,
            longest=max(segment, _LONGEST * self.sample_rate),
        )


class UnmixTarget(nn.Module):
    """The network of one source, in the three parts between which X-UMX joins its own.

    Parameter names are those of the published checkpoints.

    Args:
        sizes: Of the family.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden, bins, channels = sizes.hidden_size, sizes.bins, sizes.audio_channels
        self.input_mean = nn.Parameter(torch.zeros(sizes.max_bin))  # minus the mean of what was trained on
        self.input_scale = nn.Parameter(torch.ones(sizes.max_bin))
        self.output_scale = nn.Parameter(torch.ones(bins))
        self.output_mean = nn.Parameter(torch.ones(bins))
        self.fc1 = nn.Linear(channels * sizes.max_bin, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(
            hidden,
            hidden if sizes.unidirectional else hidden // 2,
            sizes.layers,
            bidirectional=not sizes.unidirectional,
            dropout=_DROPOUT if sizes.layers > 1 else 0,
        )
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, channels * bins, bias=False)
        self.bn3 = nn.BatchNorm1d(channels * bins)

    def encoded(self, magnitudes: Tensor) -> Tensor:
        """Features `(N, B, H)` of the mixture's magnitudes `(N, B, C, F)`, which are float32 at least."""
        cropped = magnitudes[..., : len(self.input_mean)]
        scaled = ((cropped + self.input_mean) * self.input_scale).to(self.fc1.weight.dtype)
        features: Tensor = self.bn1(self.fc1(scaled.flatten(2).flatten(0, 1)))
        return torch.tanh(features).view(*magnitudes.shape[:2], -1)

    def remembered(self, features: Tensor) -> Tensor:
        """What the recurrence makes of features `(N, B, H)`, same shape."""
        states: Tensor = self.lstm(features)[0]
        return states

    def mask(self, features: Tensor, remembered: Tensor) -> Tensor:
        """What to multiply the magnitudes with, `(N, B, C, F)`, in float32 at least.

        Args:
            features: `(N, B, H)`.
            remembered: Same shape.
        """
        x = torch.cat([features, remembered], -1).flatten(0, 1)
        x = self.bn3(self.fc3(torch.relu(self.bn2(self.fc2(x)))))
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = x.view(*features.shape[:2], -1, len(self.output_scale))
        return torch.relu(torch.addcmul(self.output_mean, x, self.output_scale))


def separate_magnitudes(
    masks: Inner, mixture: Tensor, sizes: Sizes, wiener: WienerFilter, dtype: torch.dtype
) -> Tensor:
    """Estimates of the sources: a network makes masks, a filter makes spectra of what the masks leave.

    Half precision is for the network's layers; spectra, masks and the filter need float32 at least.

    Args:
        masks: From the mixture's magnitudes `(N, B, C, F)` to a mask of that shape for each source.
        mixture: `(B, C, T)`.
        sizes: Of the family.
        wiener: The filter.
        dtype: The network's precision.

    Returns:
        `(B, S, C, T)`, of one source more if the filter makes a residual.

    Raises:
        ShapeError: If the mixture has another number of axes or channels, or no samples.
    """
    require_mixture(mixture, sizes.title, sizes.audio_channels)
    stft = sizes.stft
    spectrum = stft(mixture.to(torch.promote_types(dtype, torch.float32)))  # (B, C, F, N)
    magnitudes = spectrum.abs().permute(3, 0, 1, 2).contiguous()
    heard = torch.stack([mask * magnitudes for mask in masks(magnitudes)])  # (S, N, B, C, F)
    spectra = wiener(heard.permute(2, 0, 3, 4, 1), spectrum)
    signals = [stft.inverse(source, mixture.shape[-1]) for source in spectra.unbind(1)]
    return torch.stack(signals, 1).to(mixture.dtype)
