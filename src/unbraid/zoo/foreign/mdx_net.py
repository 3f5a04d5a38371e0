"""MDX-Nets: what UVR's table of models says of a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import require_known, whole_number
from unbraid.zoo.foreign.vr_net import stems_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS = ("mdx_dim_f_set", "mdx_dim_t_set", "mdx_n_fft_scale_set")
_ENTRY = (*_NUMBERS, "compensate", "primary_stem", "is_karaoke")


def is_entry(file: Mapping[str, Any]) -> bool:
    """Whether something is an entry of an MDX-Net."""
    return any(key in file for key in _NUMBERS)


def config_of(entry: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration from an entry of UVR's table of models.

    Args:
        entry: As in `{"compensate": 1.035, "mdx_dim_f_set": 2048, "mdx_dim_t_set": 8, …}`.
        target: What the file's graph says: fields of a `Target`, and `audio_channels`.

    Returns:
        Fields of the network's `Config`, but for what UVR does to each of its models.

    Raises:
        ConfigError: If a key is unknown or missing, or the entry is of another network than the graph.
    """
    require_known(entry, _ENTRY, "UVR's entry of an MDX-Net")
    missing = [key for key in (*_NUMBERS, "compensate", "primary_stem") if key not in entry]
    if missing:
        raise ConfigError(f"UVR's entry of an MDX-Net has no {' and no '.join(missing)}")
    bins, power, n_fft = (whole_number(entry, key, 0) for key in _NUMBERS)
    if not 0 < power < 20 or (bins, 2**power) != (target["bins"], target["frames"]):
        raise ConfigError(
            f"UVR's entry has {bins} bins and 2^{power} frames, but the file's network has "
            f"{target['bins']} bins and {target['frames']} frames"
        )
    gain = entry["compensate"]
    if not isinstance(gain, (int, float)) or isinstance(gain, bool) or not math.isfinite(gain):
        raise ConfigError(f"compensate must be a number, not {gain!r:.40}")
    return {
        "n_fft": n_fft,
        "compensate": float(gain),
        "sources": list(stems_of(str(entry["primary_stem"]), entry)),
    }
