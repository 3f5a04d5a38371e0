"""What every network asks of a mixture before it hears it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def require_mixture(mixture: Tensor, title: str, channels: int, *, least: int = 1) -> None:
    """Make sure that a mixture is one that a network can hear.

    Args:
        mixture: Should be `(B, C, T)`.
        title: Of the network, for an error's sentence.
        channels: C.
        least: Smallest T.

    Raises:
        ShapeError: If the mixture has another number of axes or channels, or too few samples.
    """
    if mixture.ndim != 3 or mixture.shape[1] != channels or mixture.shape[2] < least:
        samples = " and at least one sample" if least else ""
        raise ShapeError(
            f"the mixture is {tuple(mixture.shape)}; {title} takes (batch, channels, time) "
            f"with {channels} channels{samples}"
        )
