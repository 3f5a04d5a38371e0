"""SCNet-Tran as its program keeps it: our names, and a convolution that is made and never used.

Source: the published class, Music-Source-Separation-Training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "scnet"

_IDLE = "first_conv.weight"


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are heard.

    Args:
        state: By the published names, of any kind of SCNet.
    """
    return {name: value for name, value in state.items() if name != _IDLE}
