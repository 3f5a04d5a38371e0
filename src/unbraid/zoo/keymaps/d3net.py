"""D3Net as the published NNabla program names its weights: a file for each source, by the scopes of its code.

    vocals/in_offset                                                        becomes  input_mean
    …/features_init/0/conv/W                                                         bands.0.conv.weight
    …/dense_band/0/ds_layers/dense_block1/initial_block/…                            bands.0.down.1.initial.…
    …/dense_full/bottleneck_block/layers/layer1/layers/layer2/bottleneck/norm1/bn/mean
                                                             full.middle.layers.0.layers.1.norm.running_mean
    …/dense_full/us_layers/upsample0/upsample/transconv/deconv/W                     full.up.0.conv.weight
    …/dense_full/us_layers/dense_block5/…                                            full.up.0.block.…

Blocks are counted through from the way down over the bottleneck to the way up.

Source: the published code, github.com/sony/ai-research-code (names and order).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

# Applied one after the other: a place in the code becomes a module of ours.
_PLACES: tuple[tuple[str, str], ...] = (
    (r"^features_init/(\d+)/conv/", r"bands.\1.conv."),
    (r"^features_init_full/conv/", r"full.conv."),
    (r"^dense_band/(\d+)/", r"bands.\1."),
    (r"^dense_full/", r"full."),
    (r"^match_fm_conv/(\d+)/norm/bn/", r"match.\1.norm."),
    (r"^match_fm_conv/(\d+)/conv/conv/", r"match.\1.conv."),
    (r"^final_dense/", r"final."),
    (r"^out_gate/bn/bn/", r"norm."),
    (r"^out_gate/conv_gate/conv/conv/", r"gate."),
    (r"^out_gate/conv_filt/conv/conv/", r"filter."),
    (r"ds_layers/dense_block(\d+)/", r"down.\1."),
    (r"bottleneck_block/", r"middle."),
    (r"us_layers/upsample(\d+)/upsample/norm/bn/", r"up.\1.norm."),
    (r"us_layers/upsample(\d+)/upsample/transconv/deconv/", r"up.\1.conv."),
    (r"initial_(block|layer)/", r"initial."),
    (r"bottleneck/norm1/bn/", r"norm."),
    (r"bottleneck/conv1/conv/", r"conv."),
)
# What a parameter is called there: last of all.
_KINDS: Mapping[str, str] = {
    "in_offset": "input_mean",
    "in_scale": "input_scale",
    "decode_scale": "output_scale",
    "decode_bias": "output_mean",
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


# The scope of the source, which all names of a file begin with.
_SOURCE = re.compile(r"^[^/]+/(?=in_|decode_|features_init|dense_|match_fm_conv|final_dense|out_gate)")


def rename(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one source by our names; those that have them already stay as they are.

    Args:
        variables: A file's, by name.

    Raises:
        WeightsError: If a variable is strange.

    >>> list(rename({"bass/final_dense/layers/layer1/bottleneck/conv1/conv/W": torch.zeros(1, 1, 3, 3)}))
    ['final.layers.0.conv.weight']
    """
    if not any("/" in name for name in variables):
        return dict(variables)
    bare = {_SOURCE.sub("", name): value for name, value in variables.items()}
    depths = _depths(bare)
    state: dict[str, Tensor] = {}
    for name, value in bare.items():
        place, _, kind = name.rpartition("/")
        ours = _place(f"{place}/" if place else "", depths)
        if "/" in ours or kind not in _KINDS:
            raise WeightsError(f"the checkpoint holds what no D3Net has: {name}")
        state[f"{ours}{_KINDS[kind]}"] = value if kind == "W" else value.flatten()
        if kind == "mean":
            state[f"{ours}num_batches_tracked"] = torch.tensor(0)
    return state


def _place(place: str, depths: Mapping[str, int]) -> str:
    """The module of ours that is at a place in the code."""

    def raised(found: re.Match[str]) -> str:
        return f"{found[1]}up.{int(found[2]) - depths.get(found[1], 0) - 1}.block."

    place = re.sub(r"^(.*/)us_layers/dense_block(\d+)/", raised, place)
    for pattern, ours in _PLACES:
        place = re.sub(pattern, ours, place)
    return re.sub(r"layers/layer(\d+)/", lambda found: f"layers.{int(found[1]) - 1}.", place)


def _depths(names: Iterable[str]) -> dict[str, int]:
    """How many blocks of each U-net are on the way down; the one after them is the bottleneck."""
    found = (re.match(r"(.*/)ds_layers/dense_block(\d+)/", name) for name in names)
    blocks = sorted((place[1], int(place[2])) for place in found if place)
    return {net: block + 1 for net, block in blocks}
