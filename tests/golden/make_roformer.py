"""Writes names and shapes of RoFormers' weights, the bins of mel bands, and what published classes answer.

The answers are for configurations that `pymss-core`, with which the tests compare, does not know.

Needs `msst` 0.1.0 with `rotary-embedding-torch` 0.9.1, `PoPE-pytorch` 0.2.1 and `librosa` 0.11.0.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_roformer.py
"""

from __future__ import annotations

import json
from pathlib import Path

import librosa
import numpy as np
import torch
from msst.models.bs_roformer import BSRoformer, MelBandRoformer

from networks.tiny import lively
from reference.roformer_cases import CASES, MEL_TABLES, mixture

HERE = Path(__file__).parent
STEREO = {"stereo": True, "time_transformer_depth": 1, "freq_transformer_depth": 1}
KINDS = {"bs": BSRoformer, "mel": MelBandRoformer}
NETWORKS = {
    "bs_roformer": ("bs", {"dim": 512, "depth": 12}),
    "mel_band_roformer": ("mel", {"dim": 384, "depth": 6, "mask_estimator_depth": 2}),
}


def published(kind, options):
    return KINDS[kind](**STEREO, **options)


def write_shapes(name, network):
    shapes = {key: list(value.shape) for key, value in sorted(network.state_dict().items())}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    (HERE / f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def bins_of(rate, n_fft, bands):
    """First bin of each filter, and the one behind its last, as the published class takes them."""
    filters = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands)
    filters[0, 0] = filters[-1, -1] = 1
    found = [np.flatnonzero(row > 0) for row in filters]
    assert all(np.array_equal(bins, np.arange(bins[0], bins[-1] + 1)) for bins in found)
    return [[int(bins[0]), int(bins[-1]) + 1] for bins in found]


@torch.no_grad()
def answer(case):
    """The estimates `(S, C, T)` in float64."""
    network = published(case.kind, case.options)
    network.load_state_dict(lively(network.state_dict()))
    torch.set_default_dtype(torch.float64)  # in which the published classes make their windows
    try:
        return network.double().eval()(mixture(case.length))[0].numpy()
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    for name, (kind, options) in NETWORKS.items():
        write_shapes(name, published(kind, options))
    tables = {" ".join(map(str, table)): bins_of(*table) for table in MEL_TABLES}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(bins)}" for key, bins in tables.items())
    (HERE / "mel_bands.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    np.savez_compressed(HERE / "roformer.npz", **{case.name: answer(case) for case in CASES})
