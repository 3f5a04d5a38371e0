"""Networks: one architecture a file, each an ordinary `nn.Module` that states facts about itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# From an architecture's name to "module:Class"; the module's `Config` is what the class is made from.
ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "demucs": "unbraid.networks.demucs:Demucs",
        "hdemucs": "unbraid.networks.hdemucs:HDemucs",
        "htdemucs": "unbraid.networks.htdemucs:HTDemucs",
        "conv_tasnet": "unbraid.networks.conv_tasnet:ConvTasNet",
        "wave_u_net": "unbraid.networks.wave_u_net:WaveUNet",
    }
)
