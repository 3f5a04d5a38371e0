"""Ratios of energies, in dB: how much stronger the wanted is than the error.

All take signals `(..., channels, time)`, add up the energies of all channels, count in float64 and give one
ratio for each leading index. NaN or infinity anywhere in a signal makes its ratio NaN.

    s  reference        ŝ  estimate        a  the gain with which a·s comes closest to ŝ

    SDR     |s|² / |s − ŝ|²        with a small constant in both; a wrong gain costs
    SNR     |s|² / |s − ŝ|²        as it stands
    SI-SDR  |a·s|² / |a·s − ŝ|²    any gain is free
    SD-SDR  |a·s|² / |s − ŝ|²      a gain below 1 costs more than one above

A silent channel adds nothing to either energy. What channels share – anti-phase, a swapped balance – is seen
because channels are never summed as signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# The challenges add it to both energies: silence scored against silence gives 0 dB, not NaN.
_MDX_CONSTANT = 1e-7
_AT_ONCE = 1 << 18  # samples of each channel


def sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """How much stronger a source is than the error of its estimate, over the whole track, in dB.

    This is the SDR of the MDX challenges ("global SDR"): one plain ratio over all channels and samples. It is
    not BSSEval's, which looks at frames and forgives filtering; numbers of the two cannot be compared.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Ratios in dB, `(...)`, in float64; higher is better. Never infinite: silence against silence is 0, a
        perfect estimate ends where the constant of 1e-7 does, and a silent reference gives a negative ratio
        that only tells how loud the estimate is.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing, 2022, equation 1.

    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> round(sdr(tone, 0.9 * tone).item(), 2)
    20.0
    """
    same_shape(reference, estimate)
    wanted, error = _total(_energy, reference), _total(_apart, reference, estimate)
    return _decibels(wanted + _MDX_CONSTANT, error + _MDX_CONSTANT)


def snr(reference: Tensor, estimate: Tensor) -> Tensor:
    """How much stronger a source is than the error of its estimate, in dB, with nothing added.

    The same as `sdr` except for very quiet sources, where the constant of that one is felt.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Ratios in dB, `(...)`, in float64; higher is better. A perfect estimate is `inf`, sound where the
        reference is silent `-inf`, silence against silence `nan`.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Le Roux, Wisdom, Erdogan, Hershey, "SDR – half-baked or well done?", ICASSP 2019.

    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> round(snr(tone, 1.01 * tone).item(), 2)
    40.0
    """
    same_shape(reference, estimate)
    return _decibels(_total(_energy, reference), _total(_apart, reference, estimate))


def si_sdr(reference: Tensor, estimate: Tensor, *, zero_mean: bool = False) -> Tensor:
    """How much of the estimate is the source, whatever its gain, in dB.

    The estimate is compared with the best-scaled copy of the reference: a wrong gain and even a wrong sign
    cost nothing, a delay costs much. There is one gain for all channels, so that the balance between them
    still counts.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.
        zero_mean: Whether each channel's mean is taken off both first. Some toolboxes do, for signals of a
            microphone with an offset; music has none, and then it hardly matters.

    Returns:
        Ratios in dB, `(...)`, in float64; higher is better. A perfect estimate is `inf` or, after rounding,
        some hundred dB; `nan` where either is silent.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Le Roux, Wisdom, Erdogan, Hershey, "SDR – half-baked or well done?", ICASSP 2019, equation 3.

    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> other = torch.tensor([[1.0, 1.0, -1.0, -1.0]])      # orthogonal, equally loud
    >>> round(si_sdr(tone, 5 * (tone + 0.1 * other)).item(), 2)
    20.0
    """
    same_shape(reference, estimate)
    if zero_mean:
        reference, estimate = (
            signal - signal.mean(-1, keepdim=True, dtype=torch.float64) for signal in (reference, estimate)
        )
    energy = _total(_energy, reference)
    gain = _total(torch.mul, reference, estimate) / energy
    scale = gain[..., None, None]
    error = _total(lambda true, found: (scale * true - found).square(), reference, estimate)
    return _decibels(gain.square() * energy, error)


def sd_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """The part of the estimate that is the source, against the whole error, in dB.

    Unlike SI-SDR it counts a wrong gain, and unlike SNR it gives nothing for turning an estimate down: SNR
    rewards silence with 0 dB, SD-SDR punishes it without limit.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Ratios in dB, `(...)`, in float64; higher is better. A perfect estimate is `inf`, a silent estimate
        `-inf`, a silent reference `nan`.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Le Roux, Wisdom, Erdogan, Hershey, "SDR – half-baked or well done?", ICASSP 2019, equation 8.

    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> round(sd_sdr(tone, 0.5 * tone).item(), 2)
    0.0
    """
    same_shape(reference, estimate)
    target = _total(torch.mul, reference, estimate).square() / _total(_energy, reference)
    return _decibels(target, _total(_apart, reference, estimate))


def same_shape(reference: Tensor, estimate: Tensor) -> None:
    """That two signals can be compared.

    Raises:
        ShapeError: If their shapes differ or are not `(..., channels, time)`.
    """
    if reference.shape != estimate.shape or reference.ndim < 2:
        raise ShapeError(
            f"the reference is {tuple(reference.shape)} and the estimate {tuple(estimate.shape)}; "
            "both must be (..., channels, time) with the same length"
        )


def _total(term: Callable[..., Tensor], *signals: Tensor) -> Tensor:
    """A term of some signals, summed over channels and time in float64, some samples at a time."""
    first = signals[0]
    total = first.new_zeros(first.shape[:-2], dtype=torch.float64)
    for start in range(0, first.shape[-1], _AT_ONCE):
        pieces = (signal[..., start : start + _AT_ONCE].double() for signal in signals)
        total = total + term(*pieces).sum((-2, -1))
    return total


def _energy(signal: Tensor) -> Tensor:
    return signal.square()


def _apart(true: Tensor, found: Tensor) -> Tensor:
    return (true - found).square()


def _decibels(wanted: Tensor, error: Tensor) -> Tensor:
    return 10 * (wanted / error).log10()
