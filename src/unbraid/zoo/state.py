"""Weights by name, out of what programs keep them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# The keys under which training programs keep them, and what wrappers put before each of their names.
_WRAPPERS = ("state", "state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.", "_orig_mod.")


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
    while prefix := next((p for p in _PREFIXES if weights and all(key.startswith(p) for key in weights)), ""):
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def narrowed(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights in float16 if that holds every value exactly, as it does where they were published so."""
    halves = {}
    for name, tensor in tensors.items():
        half = halves[name] = tensor.half()
        if not tensor.is_floating_point() or not torch.equal(half.to(tensor.dtype), tensor):
            return tensors
    return halves
