"""Weights by name, out of what programs keep them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# The keys under which training programs keep them, and what wrappers put before each of their names.
# Weights as they are come before their moving averages, which some keep beside them and some alone.
_WRAPPERS = (
    "state",
    "state_dict",
    "model_state_dict",
    "model",
    "ema_state_dict",
    "ema_model_state_dict",
    "model_ema",
    "ema_model",
    "ema",
)
_PREFIXES = ("module.", "model.", "_orig_mod.", "ema_model.")
# What stands beside the weights that an average is of: counts, and the weights that were averaged.
_COUNTS = frozenset({"n_averaged", "initted", "step"})
_ONLINE = "online_model."


def unwrapped(content: Mapping[str, object]) -> Mapping[str, object]:
    """The weights among what a training program keeps, where they do not stand alone."""
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, dict):
            return inner
    return content


def weights_of(state: Mapping[str, object], name: str) -> dict[str, Tensor]:
    """Weights by name, without what all names have before them."""
    weights = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    if len(weights) != len(state) or not all(isinstance(key, str) for key in weights):
        raise WeightsError(f"{name}: its state holds more than weights by name")
    weights = _averaged(weights)
    while prefix := next((p for p in _PREFIXES if weights and all(key.startswith(p) for key in weights)), ""):
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def _averaged(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what keeps a moving average up to date, where that is what weights are."""
    names = weights.keys() - _COUNTS
    kept = [name for name in names if not name.startswith(_ONLINE)]
    if len(names) == len(weights) or not all(name.startswith(("module.", "ema_model.")) for name in kept):
        return weights
    return {name: weights[name] for name in weights if name in set(kept)}


def narrowed(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights in float16 if that holds every value exactly, as it does where they were published so."""
    halves = {}
    for name, tensor in tensors.items():
        half = halves[name] = tensor.half()
        if not tensor.is_floating_point() or not torch.equal(half.to(tensor.dtype), tensor):
            return tensors
    return halves
