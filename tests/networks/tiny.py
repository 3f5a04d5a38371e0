"""For each architecture a configuration that runs in milliseconds, and the published ones at full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

TINY: dict[str, dict[str, Any]] = {
    "demucs": {  # all that any generation has
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "channels": 8,
        "depth": 3,
        "gelu": True,
        "lstm_layers": 1,
        "norm_starts": 1,
        "norm_groups": 2,
        "dconv_depth": 1,
        "dconv_comp": 2,
        "dconv_attn": 2,
        "dconv_lstm": 2,
        "normalized": True,
    },
    "hdemucs": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": "1/8",
        "n_fft": 256,
        "channels": 8,
        "depth": 4,
        "norm_starts": 2,
        "dconv_attn": 2,
        "dconv_lstm": 2,
    },
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
    "conv_tasnet": {
        "sources": ["vocals", "rest"],
        "sample_rate": 8000,
        "segment": 3000,
        "filters": 16,
        "filter_length": 4,
        "bottleneck_channels": 12,
        "hidden_channels": 20,
        "blocks": 3,
        "repeats": 2,
    },
    "wave_u_net": {
        "sources": ["vocals", "drums", "rest"],
        "sample_rate": 8000,
        "output_length": 60,
        "levels": 3,
        "channels": 6,
        "kernel_size": 5,
        "up_kernel_size": 3,
        "upsampling": "learned",
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
DEMUCS_V1 = {"oversampled": False, "divisor": 1.0}
DEMUCS_V3 = {
    "padded": True,
    "gelu": True,
    "lstm_layers": 0,
    "norm_starts": 4,
    "dconv_depth": 2,
    "normalized": True,
}
PUBLISHED = [
    Published("demucs", "demucs", {}, 265_679_496),
    Published("demucs_48", "demucs", {"channels": 48}, 149_462_504),
    Published("demucs_100", "demucs", {"channels": 100, **DEMUCS_V1}, 648_548_208),
    Published("demucs_v3", "demucs", DEMUCS_V3, 133_753_064),
    Published("demucs_v3_plain", "demucs", {"rewrite": False, **DEMUCS_V3}, 88_984_040),
    Published("hdemucs", "hdemucs", {}, 83_637_832),
    Published("hdemucs_magnitude", "hdemucs", {"cac": False}, 83_633_984),
    Published("hdemucs_late", "hdemucs", {"cac": False, "hybrid_old": True, "norm_starts": 999}, 83_607_872),
    Published("hdemucs_bands", "hdemucs", {"norm_starts": 999, "multi_freqs": [0.1, 0.3]}, 83_884_248),
    Published("htdemucs", "htdemucs", {}, 41_984_456),
    Published("htdemucs_6s", "htdemucs", {"sources": SIX, "bottom_channels": 0}, 27_414_996),
    Published("conv_tasnet", "conv_tasnet", {}, 10_977_872),
    Published("wave_u_net_m4", "wave_u_net", {}, 10_263_390),
    Published("wave_u_net_m5", "wave_u_net", {"upsampling": "learned"}, 10_265_550),
    Published("wave_u_net_m6", "wave_u_net", {"sources": ["bass", "drums", "other", "vocals"]}, 10_263_498),
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
    if shape == (1,) and name.endswith("weight"):  # the slope of a PReLU; near 1 it would do nothing
        return 0.2 + 0.05 * noise
    if len(shape) > 1 and not name.endswith((".gamma", ".beta")):
        return noise * (2 / shape[1:].numel()) ** 0.5
    return 1 + 0.1 * noise if name.endswith(("weight", ".gamma")) else 0.05 * noise
