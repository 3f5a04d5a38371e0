"""Oracles: the most that masks can reach. They know the true sources, so they are no separators.

A network that masks spectrograms cannot do better than the ideal mask of its kind; a score beside these says
how much of the way it has gone.

Source   as evaluated in Stöter, Liutkus, Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018:
         IBM is `ideal_binary_masks`, IRM1 and IRM2 are `ideal_ratio_masks` with the powers 1 and 2, MWF is
         `multichannel_wiener`. Ideal masks: Wang, "On ideal binary mask as the computational goal of auditory
         scene analysis", 2005. The filter: Duong, Vincent, Gribonval, "Under-determined reverberant audio
         source separation using a full-rank spatial covariance model", TASLP 18(7), 2010.

S source · C channel · T time · F bin · N frame
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.dsp.stft import Padding, Stft
from unbraid.dsp.wiener import solve
from unbraid.errors import ShapeError
from unbraid.networks.classical.masking import shares, whole_hops

if TYPE_CHECKING:
    from torch import Tensor

_FAINT = 1e-12  # of the loudest: what keeps matrices from being singular
_SILENCE = 1e-100  # a power far below any sound's, whose square is no 0 yet


def ideal_binary_masks(
    mixture: Tensor, references: Tensor, *, power: float = 1.0, threshold: float = 0.5, n_fft: int = 2048
) -> Tensor:
    """Each source gets the bins in which it is strong enough, whole, and nothing of the others.

    A bin may be given to several sources, or to none.

    Args:
        mixture: `(C, T)`.
        references: True sources, `(S, C, T)`.
        power: That magnitudes are raised to before they are compared.
        threshold: Least share of a source in the mixture.
        n_fft: Samples of a frame; frames overlap by half.

    Returns:
        Estimates `(S, C, T)`.

    Raises:
        ShapeError: If the shapes do not belong together.
    """
    stft, mixed, true = _spectra(mixture, references, n_fft)
    masks = true.abs() ** power >= threshold * mixed.abs() ** power
    return stft.inverse(masks * mixed, mixture.shape[-1])


def ideal_ratio_masks(
    mixture: Tensor, references: Tensor, *, power: float = 2.0, n_fft: int = 2048
) -> Tensor:
    """Each source gets its true share of every bin; the estimates add up to the mixture.

    Args:
        mixture: `(C, T)`.
        references: True sources, `(S, C, T)`.
        power: 1: shares of magnitudes, 2: of energies.
        n_fft: Samples of a frame; frames overlap by half.

    Returns:
        Estimates `(S, C, T)`.

    Raises:
        ShapeError: If the shapes do not belong together.
    """
    stft, mixed, true = _spectra(mixture, references, n_fft)
    return stft.inverse(shares(true.abs(), power) * mixed, mixture.shape[-1])


def multichannel_wiener(mixture: Tensor, references: Tensor, *, n_fft: int = 2048) -> Tensor:
    """Each source gets what its true level and its true place between the channels make most likely.

    A source has in each bin a power for every frame, v, and one covariance of its channels, R. The estimate
    is v R X⁻¹ x, where X is the sum of v R over the sources and x the mixture.

    Args:
        mixture: `(C, T)`.
        references: True sources, `(S, C, T)`.
        n_fft: Samples of a frame; frames overlap by half.

    Returns:
        Estimates `(S, C, T)`.

    Raises:
        ShapeError: If the shapes do not belong together.
    """
    # In float64: where channels are nearly alike, float32 rounds the little in which they differ away.
    stft, mixed, true = _spectra(mixture.double(), references.double(), n_fft)
    x = mixed.transpose(0, 1)  # (F, C, N)
    models = [_model(source.transpose(0, 1)) for source in true]
    covariance = torch.stack(
        [torch.view_as_real(place).unsqueeze(-1) * power[:, None, None, None] for power, place in models]
    ).sum(0)  # (F, C, C, 2, N), parts of complex numbers
    noise = max(_FAINT * x.abs().square().max().item(), _SILENCE)
    whitened = solve(covariance, x, noise)
    estimates = torch.stack([power.unsqueeze(1) * (place @ whitened) for power, place in models])
    return stft.inverse(estimates.transpose(1, 2), mixture.shape[-1]).to(mixture.dtype)


def _model(source: Tensor) -> tuple[Tensor, Tensor]:
    """Powers `(F, N)` and covariances `(F, C, C)` of a source's spectrum `(F, C, N)`.

    The covariance is the mean of those of all frames, each by its power; the power then is measured again,
    along that covariance.
    """
    channels = source.shape[1]
    level = source.abs().square().mean(1, keepdim=True).sqrt()
    even = source / level.clamp_min(torch.finfo(level.dtype).tiny)
    place = even @ even.mH / source.shape[-1]
    place = place + _FAINT * torch.eye(channels, dtype=place.dtype, device=place.device)
    power = (source.conj() * torch.linalg.solve(place, source)).real.sum(1) / channels
    return power, place


def _spectra(mixture: Tensor, references: Tensor, n_fft: int) -> tuple[Stft, Tensor, Tensor]:
    """The transform, and the spectra of mixture and references."""
    if mixture.ndim != 2 or references.ndim != 3 or references.shape[1:] != mixture.shape:
        raise ShapeError(
            f"the mixture is {tuple(mixture.shape)} and the references are {tuple(references.shape)}; they "
            "must be (channels, time) and (sources, channels, time)"
        )
    stft = Stft(n_fft, n_fft // 2, padding=Padding.ZERO)
    hop = stft.hop_length
    return stft, stft(whole_hops(mixture, hop)), stft(whole_hops(references, hop))
