"""A spectrum as a picture, for networks that were made for photographs.

    mixture ─ STFT ─ fold ─┬─ first_conv ─┬─ picture network ─ × ─┐
                           │              └───────────────────┘   ├─ final_conv ─ unfold ─ inverse STFT
                           └──────────────────────────────────────┘

Real and imaginary parts of all channels are channels. Folding cuts the bins into bands of equal height and
stacks them as further channels, so that the picture is as high as it is wide. Unlike a photograph, it stands
on its side: frames are its rows.

Source   github.com/ZFTurbo/Music-Source-Separation-Training, models segm_models, torchseg and swin_upernet;
         there is no paper. Folding is that of Kim et al., "Sound demixing challenge 2023: technical report",
         2023 (TFC-TDF v3).
Weights  parameter names are those of the published checkpoints.

B batch · S source · C channel · T time · F bin · N frame · K band
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Stft
from unbraid.errors import ConfigError, MachineError
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
    "n_fft": (4, 65_536),
    "hop_length": (1, 32_768),
    "bins": (1, 32_768),
    "frames": (32, 4096),
    "bands": (1, 64),
    "channels": (1, 1024),
}


class Activation(str, Enum):
    """Between the two last convolutions."""

    GELU = "gelu"
    RELU = "relu"
    ELU = "elu"


_ACTIVATIONS: Mapping[Activation, type[nn.Module]] = {
    Activation.GELU: nn.GELU,
    Activation.RELU: nn.ReLU,
    Activation.ELU: nn.ELU,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the networks around pictures share; the defaults are those of the published ones.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        n_fft: Samples of an STFT frame.
        hop_length: Samples between two frames.
        bins: How many, from the lowest, are looked at and estimated.
        frames: Of a segment; networks for pictures of one size take no other.
        bands: Into which the bins are folded.
        channels: Of the picture.
        activation: Between the two last convolutions.

    Raises:
        ConfigError: If the numbers make no network; says which and why.
    """

    title: ClassVar[str]

    sources: tuple[str, ...] = ("vocals",)
    audio_channels: int = 2
    sample_rate: int = 44100
    n_fft: int = 8192
    hop_length: int = 512
    bins: int = 4096
    frames: int = 512
    bands: int = 8
    channels: int = 16
    activation: Activation = Activation.GELU

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, _RANGES) or [*self._contradictions(), *self.own_faults()]
        if found:
            raise ConfigError(f"this makes no {self.title}: {'; '.join(found)}")

    def own_faults(self) -> list[str]:
        """Which rules of a single network are broken."""
        return []

    def _contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        faults = {
            f"bins must be a multiple of bands and at most {self.n_fft // 2 + 1}": self.bins % self.bands != 0
            or self.bins > self.stft.n_fft // 2 + 1,
            "a picture must have 32 bins and frames, or multiples": self.bins // self.bands % 32 != 0
            or self.frames % 32 != 0,
            "a segment must be longer than half of a frame": self.segment <= self.n_fft // 2,
        }
        return [rule for rule, broken in faults.items() if broken]

    @property
    def stft(self) -> Stft:
        """The transform from signal to spectrum."""
        return Stft(self.n_fft, self.hop_length)

    @property
    def segment(self) -> int:
        """Samples of a segment."""
        return self.hop_length * (self.frames - 1)

    @property
    def features(self) -> int:
        """Channels of a folded spectrum."""
        return 2 * self.audio_channels * self.bands


class PictureNetwork(nn.Module):
    """Separates a mixture with a network for pictures, which a subclass brings as `picture`.

    Takes segments of one length.

    Args:
        config: Sizes and sources.
    """

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.spec = ModelSpec(
            sources=config.sources,
            sample_rate=config.sample_rate,
            channels=config.audio_channels,
            segment=config.segment,
            fixed=True,
        )
        self._sizes = config
        features, channels = config.features, config.channels
        self.first_conv = nn.Conv2d(features, channels, 1, bias=False)
        self.final_conv = nn.Sequential(
            nn.Conv2d(channels + features, channels, 1, bias=False),
            _ACTIVATIONS[config.activation](),
            nn.Conv2d(channels, len(config.sources) * features, 1, bias=False),
        )

    def picture(self, x: Tensor) -> Tensor:
        """From a picture `(B, C, N, F)` to one of the same shape.

        Raises:
            NotImplementedError: If a subclass has none.
        """
        raise NotImplementedError

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, T being the spec's `segment`.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture has another number of axes or channels, or is shorter.
        """
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """The way from a mixture to estimates, with the layers given: spectra both ways.

        Args:
            inner: As `inner`, or what a runtime made of it.
            mixture: `(B, C, T)`.

        Returns:
            `(B, S, C, T)`.
        """
        sizes = self._sizes
        require_mixture(mixture, sizes.title, sizes.audio_channels, least=sizes.segment)
        # Half precision is for the layers; spectra need float32 at least.
        dtype = self.first_conv.weight.dtype
        signal = mixture.to(torch.promote_types(dtype, torch.float32))
        spectrum = torch.view_as_real(sizes.stft(signal)[..., : sizes.bins, :])  # (B, C, F, N, 2)
        features = spectrum.movedim(-1, 2).flatten(1, 2)  # (B, 2C, F, N)
        (found,) = inner(fold(features, sizes.bands).to(dtype))
        parts = unfold(found.to(signal.dtype), sizes.bands)  # (B, S · 2C, F, N)
        parts = parts.view(len(parts), len(sizes.sources), sizes.audio_channels, 2, *parts.shape[2:])
        spectra = torch.view_as_complex(parts.movedim(3, -1).contiguous())
        whole = F.pad(spectra, (0, 0, 0, sizes.n_fft // 2 + 1 - sizes.bins))
        return sizes.stft.inverse(whole, mixture.shape[-1]).to(mixture.dtype)

    def inner(self, features: Tensor) -> tuple[Tensor, ...]:
        """The sources' spectra from the mixture's: the layers alone.

        Args:
            features: `(B, 2CK, F / K, N)`.

        Returns:
            `(B, S · 2CK, F / K, N)`.
        """
        first = self.first_conv(features)
        seen = self.picture(first.transpose(-1, -2)).transpose(-1, -2)
        found: Tensor = self.final_conv(torch.cat([features, seen * first], 1))
        return (found,)


def fold(features: Tensor, bands: int) -> Tensor:
    """Bins cut into bands, which become channels: `(B, C, F, N)` to `(B, C · K, F / K, N)`.

    >>> fold(torch.arange(4.0).view(1, 1, 4, 1), 2).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    batch, channels, bins, frames = features.shape
    return features.reshape(batch, channels * bands, bins // bands, frames)


def unfold(features: Tensor, bands: int) -> Tensor:
    """What `fold` undoes: `(B, C · K, F / K, N)` to `(B, C, F, N)`."""
    batch, channels, bins, frames = features.shape
    return features.reshape(batch, channels // bands, bins * bands, frames)


def library(name: str, title: str) -> Any:
    """A package that brings networks for pictures.

    Args:
        name: Of the package, as it is imported.
        title: Of the network that needs it, for an error's sentence.

    Raises:
        MachineError: If it is not installed, or does not run with what is.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MachineError(
            f"{title} needs {name}, which is not installed or lacks something ({error}); it comes with "
            "pip install 'unbraid[backbones]'"
        ) from error
    except (RuntimeError, AttributeError) as error:
        # So ends a torchvision that was built for another torch.
        raise MachineError(
            f"{title} needs {name}, which is installed but does not run with this torch ({error}); "
            "torchvision must come from where torch comes from"
        ) from error
