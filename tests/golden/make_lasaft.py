"""Writes what the published LaSAFT makes: names and shapes at full size, and a small checkpoint with answers.

Needs a checkout of github.com/ws-choi/Conditioned-Source-Separation-LaSAFT. What it imports for training is
replaced by nothing. Run from the repository's root: python tests/golden/make_lasaft.py CHECKOUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [sys.argv[1], str(HERE.parent)]
IDLE = (
    *(
        "dotenv",
        "hydra",
        "hydra.utils",
        "musdb",
        "museval",
        "omegaconf",
        "pandas",
        "pytorch_lightning.loggers",
    ),
    *("rich", "rich.syntax", "rich.tree", "soundfile", "tqdm", "wandb", "wget"),
)
sys.modules.update({name: MagicMock() for name in IDLE})
sys.modules["pytorch_lightning.utilities"] = MagicMock(rank_zero_only=lambda function: function)
sys.modules["pytorch_lightning"] = MagicMock(LightningModule=torch.nn.Module)

from lasaft.source_separation.conditioned.cunet.models.dcun_tfc_gpocm_lasaft import (  # noqa: E402 - found only now
    DCUN_TFC_GPoCM_LaSAFT,
)

from networks.tiny import lively  # noqa: E402 - the same

SETTINGS = {
    "n_fft": 4096,
    "n_blocks": 9,
    "input_channels": 4,
    "internal_channels": 24,
    "n_internal_layers": 5,
    "first_conv_activation": "relu",
    "last_activation": "identity",
    "t_down_layers": None,
    "f_down_layers": None,
    "kernel_size_t": 3,
    "kernel_size_f": 3,
    "bn_factor": 16,
    "min_bn_units": 16,
    "tfc_tdf_bias": False,
    "tfc_tdf_activation": "relu",
    "num_tdfs": 6,
    "dk": 32,
    "control_vector_type": "embedding",
    "control_input_dim": 4,
    "embedding_dim": 64,
    "condition_to": "decoder",
    "control_type": "dense",
    "control_n_layer": 4,
    "pocm_type": "matmul",
    "pocm_norm": "batch_norm",
}
SMALL = {"n_fft": 64, "n_blocks": 5, "internal_channels": 4, "num_tdfs": 3, "dk": 5, "embedding_dim": 6}
FRAMES = {"hop_length": 16, "num_frame": 32}
SOURCES = 4


def write_names():
    """At full size."""
    network = DCUN_TFC_GPoCM_LaSAFT(**SETTINGS)
    shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    (HERE / "lasaft_large.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


@torch.no_grad()
def write_small():
    """A checkpoint as Lightning writes them, and what the network makes of features, source by source."""
    network = DCUN_TFC_GPoCM_LaSAFT(**{**SETTINGS, **SMALL})
    counters = {key: value for key, value in network.state_dict().items() if key.endswith("tracked")}
    state = {**lively(network.state_dict()), **counters}
    network.load_state_dict(state)
    features = torch.randn(1, 4, FRAMES["num_frame"], 33, generator=torch.Generator().manual_seed(1))
    answers = [network.eval()(features, torch.tensor([source])) for source in range(SOURCES)]
    names = {f"spec2spec.{key}": value for key, value in state.items()}
    window = {"stft.stft.window": torch.hann_window(SMALL["n_fft"])}
    settings = {**SETTINGS, **SMALL, **FRAMES, "spec_type": "complex", "spec_est_mode": "mapping", "lr": 1e-4}
    torch.save(
        {"epoch": 3, "state_dict": {**window, **names}, "hyper_parameters": settings}, HERE / "lasaft.ckpt"
    )
    np.savez(HERE / "lasaft.npz", features=features.numpy(), answers=torch.stack(answers, 1).numpy())


if __name__ == "__main__":
    write_names()
    write_small()
