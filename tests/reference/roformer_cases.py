"""RoFormers that a published class answered for once, and tables of mel bands that librosa made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

MEL_TABLES = [
    (44100, 2048, 60),
    (44100, 2048, 24),
    (44100, 2048, 32),
    (44100, 4096, 60),
    (44100, 4096, 128),
    (48000, 2048, 32),
    (48000, 2048, 60),
    (32000, 2048, 64),
    (16000, 512, 20),
    (8000, 256, 12),
]


@dataclass(frozen=True)
class Case:
    """Arguments of the published class, and our configuration of the same network."""

    name: str
    kind: str
    options: dict[str, Any]
    config: dict[str, Any]
    length: int = 640


SMALL = {
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "dim_head": 8,
    "num_stems": 2,
    "stft_n_fft": 256,
    "stft_win_length": 256,
    "stft_hop_length": 64,
    "mlp_expansion_factor": 2,
}
OURS = {
    "sources": ("vocals", "rest"),
    "segment": 640,
    "channels": 16,
    "depth": 2,
    "heads": 2,
    "head_channels": 8,
    "n_fft": 256,
    "hop_length": 64,
    "mask_expansion": 2,
}
BANDS = (4, 8, 16, 32, 69)
CASES = [
    Case(
        "bs_linear",
        "bs",
        {**SMALL, "freqs_per_bands": BANDS, "linear_transformer_depth": 2, "mask_estimator_depth": 3},
        {**OURS, "bands": BANDS, "linear_layers": 2, "mask_layers": 2},
    ),
    Case(
        "bs_linear_skip",
        "bs",
        {
            **SMALL,
            "freqs_per_bands": BANDS,
            "linear_transformer_depth": 1,
            "skip_connection": True,
            "depth": 3,
        },
        {**OURS, "bands": BANDS, "linear_layers": 1, "skip_connection": True, "depth": 3},
    ),
    Case(
        "mel_linear",
        "mel",
        {**SMALL, "num_bands": 9, "linear_transformer_depth": 1, "mask_estimator_depth": 2, "zero_dc": False},
        {**OURS, "bands": 9, "linear_layers": 1, "mask_layers": 2, "zero_dc": False},
    ),
]


def mixture(length):
    """Noise `(1, 2, T)` in float64, the same wherever it is made."""
    generator = torch.Generator().manual_seed(length)
    return 0.1 * torch.randn(1, 2, length, generator=generator, dtype=torch.float64)
