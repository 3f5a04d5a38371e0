"""Networks of published size with random weights, for measuring what does not depend on training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from unbraid.networks.base import build

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unbraid.zoo.checkpoint import Checkpoint


def untrained(card: Checkpoint, *, seed: int = 0) -> nn.Module:
    """A model's network in evaluation mode, its weights random but of realistic size.

    First weights nearly mute the residual branches of some networks, and a lower precision would seem to cost
    nothing there. Here every branch is heard, and no number is so small that the processor slows down.
    """
    with torch.device("meta"):
        network = build(card.architecture, card.config)
    network.load_state_dict(realistic(dict(network.state_dict()), seed), strict=True, assign=True)
    return network.eval()


def realistic(state: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Weights for each name of a state, in float32.

    Matrices and kernels are normal at the scale of their fan-in, gains of branches 0.05 to 0.3, norms around
    1, the rest around 0.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _weight(name, value, generator) for name, value in sorted(state.items())}


def _weight(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """One weight by what its name and shape say it is."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    if name.endswith(".scale"):
        return 0.05 + 0.25 * torch.rand(like.shape, generator=generator)
    noise = torch.randn(like.shape, generator=generator)
    if like.ndim > 1 and not name.endswith((".gamma", ".beta")):
        return noise * math.sqrt(2 / like.shape[1:].numel())
    if name.endswith(("weight", ".gamma", "running_var", "_scale")):
        return 1 + 0.1 * noise
    return 0.05 * noise
