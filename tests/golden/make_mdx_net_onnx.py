"""Writes small MDX-Nets as ONNX files, as UVR's were exported, with what ONNX Runtime makes of noise.

Needs `audio-separator` 0.47.1 for the published class and, unlike the tests, `onnxruntime` 1.31.1.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_mdx_net_onnx.py
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from networks.tiny import lively
from reference.published_mdx_net import published
from unbraid.networks.mdx_net import Target

FOLDER = Path(__file__).parent / "mdx_net_onnx"
SIZES = {"n_fft": 4096, "bins": 32, "frames": 8, "levels": 1, "channels": 4, "convolutions": 2}
# In evaluation the exporter folds norms into convolutions, otherwise it keeps all.
FOLDED, KEPT = torch.onnx.TrainingMode.EVAL, torch.onnx.TrainingMode.PRESERVE
FILES = {
    "folded": (Target(**SIZES), FOLDED),
    "kept": (Target(**SIZES), KEPT),
    "untrained": (Target(**SIZES), KEPT),
    "bias": (Target(**SIZES, bias=True), FOLDED),
    "single": (Target(**SIZES, bottleneck=0), FOLDED),
    "no_full_layers": (
        Target(**{**SIZES, "levels": 2, "convolutions": 1}, bottleneck=None, kernel_size=5),
        KEPT,
    ),
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # this exporter is the one that those files were made with
    for name, (target, mode) in FILES.items():
        torch.manual_seed(0)
        network = published(target, norm="batch", hop_length=1024).eval()
        if name != "untrained":  # then many norms are alike, and the exporter stores them once
            network.load_state_dict(lively(network.state_dict()))
        features = torch.randn(2, 4, target.bins, target.frames, generator=torch.Generator().manual_seed(0))
        path = FOLDER / f"{name}.onnx"
        torch.onnx.export(
            network,
            (features[:1],),
            str(path),
            dynamo=False,
            opset_version=13,
            training=mode,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        )
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (estimate,) = session.run(None, {"input": features.numpy()})
        np.savez(FOLDER / f"{name}.npz", features=features.numpy(), estimate=estimate)
