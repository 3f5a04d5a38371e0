"""Complex spectra as real features of a network, and back.

B batch · S source · C channel · F bin · N frame
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def parts_of(spectrum: Tensor) -> Tensor:
    """Of each channel its real, then its imaginary part.

    Args:
        spectrum: Complex, `(..., C, F, N)`.

    Returns:
        `(..., 2C, F, N)`.

    >>> parts_of(torch.tensor([[[1 + 2j]], [[3 + 4j]]])).flatten().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    return torch.view_as_real(spectrum).movedim(-1, -3).flatten(-4, -3)


def spectrum_of(parts: Tensor) -> Tensor:
    """The inverse of `parts_of`, in float32 or float64.

    >>> spectrum_of(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1)).flatten().tolist()
    [(1+2j), (3+4j)]
    """
    pairs = torch.unflatten(parts, -3, (-1, 2)).movedim(-3, -1)
    return torch.view_as_complex(pairs.contiguous())
