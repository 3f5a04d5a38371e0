"""What all methods without training share: a spectrogram, masks for it, and the sources by their masks.

    mixture ── STFT ──┬──── × ──── inverse ── estimates
                      └─ masks

Where masks add up to 1 the estimates add up to the mixture.

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.dsp.stft import Padding, Stft
from unbraid.errors import ConfigError
from unbraid.networks.mixture import require_mixture
from unbraid.networks.ranges import out_of_range
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class MaskingConfig:
    """What every method is made from.

    Args:
        sources: Names of the sources, in the order of the output.
        audio_channels: Of the mixture.
        sample_rate: In Hz.
        segment: Samples it is usually given at once.
        n_fft: Samples of a frame.
        hop_length: Samples between the starts of two frames.

    Raises:
        ConfigError: If the numbers make no method; says which and why.
    """

    METHOD: ClassVar[str] = "method"
    LONGEST_SECONDS: ClassVar[int] = 3600  # it may be given at once
    # Least and greatest: far beyond what is of use, and small enough that no file can fill the memory.
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "audio_channels": (1, 64),
        "sample_rate": (1, 768_000),
        "segment": (1, 2**28),
        "n_fft": (4, 2**14),
        "hop_length": (1, 2**13),
    }

    sources: tuple[str, ...] = ()
    audio_channels: int = 2
    sample_rate: int = 44100
    segment: int = 2_646_000
    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        found = out_of_range(self, self.sources, {**MaskingConfig.RANGES, **self.RANGES})
        found = found or self.contradictions()
        if found:
            raise ConfigError(f"this makes no {self.METHOD}: {'; '.join(found)}")
        _ = self.stft  # refuses frames that make no transform

    @property
    def source_count(self) -> int:
        """How many sources there are to be named."""
        return 2

    def contradictions(self) -> list[str]:
        """Which rules between numbers, each in its range, are broken."""
        count, names = self.source_count, len(self.sources)
        return [] if count == names else [f"it makes {count} sources, not {names}"]

    @property
    def stft(self) -> Stft:
        """Its transform; beyond the edges of a mixture there is silence, as in the published ones."""
        return Stft(self.n_fft, self.hop_length, padding=Padding.ZERO)

    def frames(self, seconds: float) -> int:
        """A time as a number of frames, at least 1."""
        return max(1, round(seconds * self.sample_rate / self.hop_length))

    def bins_below(self, hz: float) -> int:
        """How many bins lie below a frequency."""
        return min(self.n_fft // 2 + 1, math.ceil(hz * self.n_fft / self.sample_rate))


class Method(nn.Module):
    """A network without weights, between a spectrogram and its inverse; each method says what lies there.

    Args:
        config: What it is made from.
    """

    config: MaskingConfig

    def __init__(self, config: MaskingConfig) -> None:
        super().__init__()
        self.config = config
        self.stft = config.stft
        self.spec = ModelSpec(
            config.sources,
            config.sample_rate,
            config.audio_channels,
            config.segment,
            longest=max(config.segment, config.LONGEST_SECONDS * config.sample_rate),
        )

    def spectra(self, spectrum: Tensor) -> Iterable[Tensor]:
        """The spectrum of each source, from that of one mixture.

        Args:
            spectrum: Complex, `(C, F, N)`, float32 or float64.

        Returns:
            As many of the same shape as there are sources.
        """
        raise NotImplementedError

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            mixture: `(B, C, T)`, any length from 1 sample.

        Returns:
            `(B, S, C, T)`.

        Raises:
            ShapeError: If the mixture is no `(B, C, T)` with the configured channels and a sample.
        """
        require_mixture(mixture, self.config.METHOD, self.config.audio_channels)
        samples = mixture.to(torch.promote_types(mixture.dtype, torch.float32))
        with torch.autocast(mixture.device.type, enabled=False):
            rows = [self._separated(row) for row in samples]
        return torch.stack(rows).to(mixture.dtype)

    def _separated(self, samples: Tensor) -> Tensor:
        """Estimates `(S, C, T)` of one mixture `(C, T)`."""
        length = samples.shape[-1]
        spectra = self.spectra(self.stft(whole_hops(samples, self.config.hop_length)))
        # One by one: spectra of all sources at once would be the most memory there is.
        return torch.stack([self.stft.inverse(spectrum, length) for spectrum in spectra])


class Masking(Method):
    """A method that gives each source a share of every bin, at the mixture's own phase."""

    def masks(self, spectrum: Tensor) -> Tensor:
        """What each source takes of one mixture.

        Args:
            spectrum: Complex, `(C, F, N)`, float32 or float64.

        Returns:
            Between 0 and 1, `(S, C, F, N)`.
        """
        raise NotImplementedError

    def spectra(self, spectrum: Tensor) -> Iterable[Tensor]:
        """The spectrum of each source, from that of one mixture `(C, F, N)`."""
        return (mask * spectrum for mask in self.masks(spectrum))


def whole_hops(samples: Tensor, hop_length: int) -> Tensor:
    """Samples `(..., T)` with silence behind them, up to a multiple of the hop.

    Without it, where frames overlap by half, the last samples could lie under the very end of one window
    alone, and what a mask makes of them would be divided by nearly nothing.
    """
    return F.pad(samples, (0, -samples.shape[-1] % hop_length))


def shares(levels: Tensor, power: float = 1.0, *, silent: float | None = None) -> Tensor:
    """What part of their sum each level is, once raised to a power.

    Args:
        levels: Not negative, `(S, ...)`.
        power: 1 shares magnitudes out, 2 energies; the greater, the more goes to the strongest.
        silent: The share where all levels are 0; None: an equal one.

    Returns:
        Between 0 and 1, same shape; they add up to 1 along the first axis.

    >>> shares(torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
    tensor([[0.7500, 0.5000],
            [0.2500, 0.5000]])
    """
    # By the strongest first: powers of small numbers would vanish.
    top = levels.amax(0)
    heard = top >= torch.finfo(levels.dtype).tiny
    weights = (levels / torch.where(heard, top, 1)) ** power
    part = weights / weights.sum(0).clamp_min(1)
    return torch.where(heard, part, 1 / len(levels) if silent is None else silent)


def side_by_side(magnitude: Tensor) -> Tensor:
    """The frames of all channels as one matrix, `(C, F, N)` to `(F, C · N)`."""
    return magnitude.transpose(0, 1).flatten(1)


def apart(matrices: Tensor, channels: int) -> Tensor:
    """The channels of matrices again, `(S, F, C · N)` to `(S, C, F, N)`."""
    return matrices.view(*matrices.shape[:2], channels, -1).transpose(1, 2)
