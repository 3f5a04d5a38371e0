"""Swin UperNets as Music-Source-Separation-Training keeps them: with a head that only training needs.

Source: github.com/ZFTurbo/Music-Source-Separation-Training, model swin_upernet (names of its state).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_IDLE = "swin_upernet_model.auxiliary_head."


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names, which are theirs.

    >>> rename({"first_conv.weight": 1, "swin_upernet_model.auxiliary_head.classifier.bias": 2})
    {'first_conv.weight': 1}
    """
    return {name: weight for name, weight in state.items() if not name.startswith(_IDLE)}
