"""The two domains of hybrid Demucs: a spectrogram whose frames keep step with the hops, beside the waveform.

The signal gets (n_fft − hop) / 2 samples at both ends, so that frame n is centred on the middle of hop n, as
the strides of the waveform's branch are:

    |· · ·|  hop 0  |  hop 1  |  …  |· · ·|
    [      frame 0      ]
              [      frame 1      ]

The highest bin is dropped: 2048 can be halved eleven times, 2049 not once.

Source: Défossez, "Hybrid spectrogram and waveform source separation", 2021, section 3.

B batch · S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from unbraid.dsp.stft import Padding, Scaling, Stft, pad
from unbraid.dsp.wiener import phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unbraid.split import Inner


@dataclass(frozen=True, slots=True)
class HopSpectrum:
    """Spectra of one frame a hop, as features of a network, and waveforms back from them.

    Args:
        n_fft: Samples of a frame; the hop is a quarter of it.
        parts: True: features are real and imaginary parts, as channels. False: magnitudes, and what comes
            back sounds at the mixture's phase.
        late: True: zeros stand beyond the edges instead of reflections, and waveforms come out
            (n_fft − hop) / 2 samples late: a fault of the first hybrid models, which their weights rely on.
    """

    n_fft: int
    parts: bool = True
    late: bool = False

    def __call__(self, signal: Tensor) -> Tensor:
        """The spectrum of a signal `(B, C, T)`, complex, `(B, C, F, N)`."""
        stft, margin = self._stft, self._margin
        padding = Padding.ZERO if self.late else Padding.REFLECT
        padded = pad(signal, margin, margin + -signal.shape[-1] % stft.hop_length, padding)
        return stft(padded)[..., :-1, :]

    def features(self, spectrum: Tensor) -> Tensor:
        """What a network sees of a spectrum, `(B, 2C, F, N)`, or `(B, C, F, N)` of magnitudes."""
        if not self.parts:
            return spectrum.abs()
        return torch.view_as_real(spectrum).movedim(-1, 2).flatten(1, 2)

    def waveform(self, features: Tensor, mixture: Tensor, length: int) -> Tensor:
        """The signal of which these are the features, `(B, C, length)`.

        Args:
            features: As `features` makes them.
            mixture: The mixture's spectrum, which lends magnitudes its phase; silence has phase 0.
            length: Samples wanted.
        """
        if self.parts:
            pairs = features.view(len(features), -1, 2, *features.shape[2:]).movedim(2, -1)
            spectrum = torch.view_as_complex(pairs.contiguous())
        else:
            spectrum = features * phase(mixture)
        return self.inverse(spectrum, length)

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """The signal of a complex spectrum `(B, C, F, N)`, `(B, C, length)`.

        Frames of silence around the spectrum make the window sum constant up to the edges. The weights
        were trained so: what those frames would have held is left to the waveform's branch.

        Args:
            spectrum: As a call makes it.
            length: Samples wanted.
        """
        silent = self.n_fft // self._stft.hop_length // 2
        spectrum = F.pad(spectrum, (silent, silent, 0, 1))
        start = silent * self._stft.hop_length + (0 if self.late else self._margin)
        return self._stft.inverse(spectrum, start + length)[..., start:]

    @property
    def _stft(self) -> Stft:
        # Unitary, and uncentred: the padding is done here.
        return Stft(self.n_fft, self.n_fft // 4, centred=False, scaling=Scaling.UNITARY)

    @property
    def _margin(self) -> int:
        return (self.n_fft - self.n_fft // 4) // 2


def separate_in_both(
    separate: Inner,
    signal: Tensor,
    spectrum: HopSpectrum,
    sources: int,
    dtype: torch.dtype,
    *,
    filtered: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Estimates of the sources: what a network makes of the spectrogram plus what it makes of the waveform.

    Half precision is for the network's layers; spectra and levels need float32 at least.

    Args:
        separate: From the mixture's features and its waveform `(B, C, T)`, both at mean 0 and deviation 1,
            to those of all sources, one behind the other on the channels' axis.
        signal: The mixture `(B, C, T)`.
        spectrum: How features are made.
        sources: How many there are.
        dtype: The network's precision.
        filtered: From the magnitudes of all sources `(B, S, C, F, N)` and the mixture's spectrum to complex
            spectra; None: each source's features stand for themselves.

    Returns:
        `(B, S, C, T)`, in float32 or float64.
    """
    signal = signal.to(torch.promote_types(dtype, torch.float32))
    mixture = spectrum(signal)
    x, mean, deviation = _standardized(spectrum.features(mixture))
    xt, mean_t, deviation_t = _standardized(signal)
    x, xt = separate(x.to(dtype), xt.to(dtype))
    length = signal.shape[-1]
    parts = (part * deviation + mean for part in x.chunk(sources, dim=1))
    if filtered is None:
        heard = (spectrum.waveform(part, mixture, length) for part in parts)
    else:
        spectra = filtered(torch.stack(list(parts), dim=1), mixture)
        heard = (spectrum.inverse(part, length) for part in spectra.unbind(1))
    estimates = [
        part + (wave * deviation_t + mean_t)
        for part, wave in zip(heard, xt.chunk(sources, dim=1), strict=True)
    ]
    return torch.stack(estimates, dim=1)


def _standardized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each item of a batch at mean 0 and deviation 1, with what its mean and deviation were."""
    freedom = min(1, x.shape[1:].numel() - 1)  # a single sample deviates by nothing
    deviation, mean = torch.std_mean(x, dim=tuple(range(1, x.ndim)), correction=freedom, keepdim=True)
    return (x - mean) / (deviation + 1e-5), mean, deviation
