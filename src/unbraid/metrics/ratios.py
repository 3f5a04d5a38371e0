"""Ratios of energies, in dB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

# The challenges add it to both energies: silence scored against silence gives 0 dB, not NaN.
_MDX_CONSTANT = 1e-7


def sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """How much stronger a source is than the error of its estimate, over the whole track, in dB.

    This is the SDR of the MDX challenges ("global SDR"): one plain ratio over all channels and samples. It is
    not BSSEval's, which looks at frames and forgives filtering; numbers of the two cannot be compared.

    Args:
        reference: True source, `(..., channels, time)`.
        estimate: Separated source, same shape.

    Returns:
        Ratios in dB, `(...)`, in float64; higher is better.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing, 2022, equation 1.

    >>> import torch
    >>> tone = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> round(sdr(tone, 0.9 * tone).item(), 2)
    20.0
    """
    if reference.shape != estimate.shape:
        raise ShapeError(
            f"the reference is {tuple(reference.shape)} and the estimate {tuple(estimate.shape)}; "
            "both must be (..., channels, time) with the same length"
        )
    exact = reference.double()
    signal = exact.square().sum((-2, -1)) + _MDX_CONSTANT
    error = (exact - estimate.double()).square().sum((-2, -1)) + _MDX_CONSTANT
    return 10 * (signal / error).log10()
