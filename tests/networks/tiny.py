"""For each architecture a configuration that runs in milliseconds, and the published ones at full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

TINY: dict[str, dict[str, Any]] = {
    "htdemucs": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "n_fft": 256,
        "channels": 8,
        "depth": 2,
        "dconv_comp": 4,
        "bottom_channels": 24,
        "t_layers": 3,
        "t_heads": 2,
    },
}


@dataclass(frozen=True)
class Published:
    """A network the world has weights of; `name` is also that of its golden file."""

    name: str
    architecture: str
    config: dict[str, Any]
    parameters: int


SIX = ["drums", "bass", "other", "vocals", "guitar", "piano"]
PUBLISHED = [
    Published("htdemucs", "htdemucs", {}, 41_984_456),
    Published("htdemucs_6s", "htdemucs", {"sources": SIX, "bottom_channels": 0}, 27_414_996),
]


def lively(state: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of realistic size for each name of a state, in float32.

    First weights nearly mute the residual branches, and so hide faults within them. Here matrices and
    kernels are normal at the scale of their fan-in, gains of branches are 0.05 to 0.3, norms around 1.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _lively(name, value.shape, generator) for name, value in sorted(state.items())}


def _lively(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if name.endswith(".scale"):
        return 0.05 + 0.25 * torch.rand(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return noise * (2 / shape[1:].numel()) ** 0.5
    return 1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise
