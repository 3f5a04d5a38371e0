"""Writes the names and shapes of BSRNN's weights, and what the published class answers.

Needs a checkout of github.com/amanteur/BandSplitRNN-PyTorch at f3375dc.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_bsrnn.py CHECKOUT
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from networks.tiny import lively
from reference.bsrnn_cases import CASES, FRAMES, HOP, N_FFT, SPLITS, mixture

HERE = Path(__file__).parent
RECURRENT = {
    "complex_as_channel": True,
    "bottleneck_layer": "rnn",
    "rnn_type": "LSTM",
    "bidirectional": True,
}
FULL = {"fc_dim": 128, "rnn_dim": 256, "num_layers": 12, "mlp_dim": 512, "t_timesteps": 263}
HIGH = [(4000, 250), (8000, 500), (16000, 1000)]
NETWORKS = {
    "bsrnn": [(1000, 100), *HIGH, (20000, 2000)],
    "bsrnn_bass": [(500, 50), (1000, 100), (4000, 500), (8000, 1000), (16000, 2000)],
    "bsrnn_drums": [(1000, 50), (2000, 100), *HIGH],
}


def published(**options):
    """The published network, without the trainer that its package imports."""
    package = sys.modules.setdefault("model", ModuleType("model"))
    package.__path__ = [str(Path(sys.argv[1]) / "src/model")]
    return importlib.import_module("model.bandsplitrnn").BandSplitRNN(**RECURRENT, **options)


def write_shapes(name, splits):
    network = published(sr=44100, n_fft=2048, bandsplits=splits, is_mono=False, **FULL)
    shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    (HERE / f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


@torch.no_grad()
def answer(case):
    """The estimate `(B, C, T)` in float64."""
    network = published(
        sr=8000, n_fft=N_FFT, bandsplits=SPLITS, is_mono=case.mono, t_timesteps=FRAMES,
        fc_dim=12, rnn_dim=10, num_layers=2, mlp_dim=14,
    )  # fmt: skip
    network.load_state_dict(lively(network.state_dict()))
    signal = mixture(1 if case.mono else 2)
    window = torch.hann_window(N_FFT, dtype=torch.float64)
    spectrum = torch.stft(signal.flatten(0, 1), N_FFT, HOP, window=window, return_complex=True)
    estimate = network.double().eval()(spectrum.view(*signal.shape[:2], *spectrum.shape[1:]))
    samples = torch.istft(estimate.flatten(0, 1), N_FFT, HOP, window=window, length=signal.shape[-1])
    return samples.view(signal.shape).numpy()


if __name__ == "__main__":
    for name, splits in NETWORKS.items():
        write_shapes(name, splits)
    torch.cfloat = torch.cdouble  # by which the published class knows a complex spectrum
    np.savez_compressed(HERE / "bsrnn.npz", **{case.name: answer(case) for case in CASES})
