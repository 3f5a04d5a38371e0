"""VR networks as torch checkpoints hold them: weights alone, of the cascade and of heads for training.

    stg1_low_band_net.enc1.conv1.conv.0.weight   cascade.stg1_low_band_net.enc1.conv1.conv.0.weight
    stg1_low_band_net.aspp.conv7.conv.0.weight   -              conv6 once more, which the program reads twice
    aux1_out.weight, aux2_out.weight, aux_out.weight   -        masks of earlier stages, for training alone

Source: the networks of the package audio-separator 0.47.1 (names of their state).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

ARCHITECTURE = "vr_net"
# Of every file's first stage.
_SIGN = re.compile(r"stg1_low_band_net\.(0\.)?enc1\.")
_IDLE = re.compile(r"aux[12]?_out\.weight|.*\.aspp\.conv7\..*")


def is_one(names: Iterable[object]) -> bool:
    """Whether weights of these names are those of a VR network, as it is published.

    >>> is_one(["stg1_low_band_net.0.enc1.conv.0.weight"]), is_one(["encoder.0.weight"])
    (True, False)
    """
    return any(isinstance(name, str) and _SIGN.match(name) for name in names)


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"out.weight": 1, "aux1_out.weight": 2, "stg2_full_band_net.aspp.conv7.conv.0.weight": 3})
    {'cascade.out.weight': 1}
    """
    return {
        name if name.startswith("cascade.") else f"cascade.{name}": weight
        for name, weight in state.items()
        if not _IDLE.fullmatch(name)
    }
