"""MDX-Net as torch checkpoints hold it: the network of one source, under the names of three programs.

    published code            its first version             the submission to the challenge
    encoding_blocks.0.tfc.H   encoding_blocks.0.H           ds_dense.0.H
    bottleneck_block.tfc.H    mid_dense.H                   mid_dense.H
    decoding_blocks.0.tfc.H   decoding_blocks.0.H           us_dense.0.H
    window, freq_pad          window, freq_pad              -                   not weights; left out

What training with Lightning keeps holds the network's arguments, too, as `hyper_parameters`.

Source: github.com/kuielab/mdx-net and mdx-net-submission (names of their state).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "mdx_net"

_IDLE = frozenset({"window", "freq_pad"})
_BLOCKS: Mapping[str, str] = {
    "ds_dense": "encoding_blocks",
    "mid_dense": "bottleneck_block",
    "us_dense": "decoding_blocks",
}

# From an argument to our field of a target.
_FIELDS: Mapping[str, str] = {
    "n_fft": "n_fft",
    "dim_f": "bins",
    "dim_t": "frames",
    "g": "channels",
    "l": "convolutions",
    "k": "kernel_size",
    "bn": "bottleneck",
    "bias": "bias",
}


def rename(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by our names; those that have them already stay as they are.

    >>> rename({"ds_dense.0.H.1.0.bias": 1, "mid_dense.tdf.0.weight": 2, "window": 3})
    {'encoding_blocks.0.tfc.H.1.0.bias': 1, 'bottleneck_block.tdf.0.weight': 2}
    """
    return {_name(name): weight for name, weight in state.items() if name.rpartition(".")[2] not in _IDLE}


def as_a_whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network that has no other target."""
    return {f"targets.0.{name}": weight for name, weight in rename(state).items()}


def configuration(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration, as a mapping, of a network that was made with these arguments.

    Args:
        arguments: Of the published class, by name.

    Raises:
        KeyError: If one is missing.
    """
    target = {ours: arguments[theirs] for theirs, ours in _FIELDS.items()}
    return {
        "sources": [str(arguments["target_name"])],
        "targets": [{**target, "levels": arguments["num_blocks"] // 2}],
        "audio_channels": arguments["dim_c"] // 2,
        "hop_length": arguments["hop_length"],
        "norm": "group" if arguments["optimizer"] == "adamw" else "batch",  # that is how the class decides
    }


def _name(name: str) -> str:
    name = re.sub(r"(^|(?<=\.))(ds|mid|us)_dense(?=\.)", lambda found: _BLOCKS[found[0]], name)
    return re.sub(r"(block\.|blocks\.\d+\.)H\.", r"\1tfc.H.", name)
