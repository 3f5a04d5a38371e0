"""Writes tiny packages that DiffQ itself packed, and the fingerprints of the weights it makes of them again.

Needs `demucs` 4.1.0 and `diffq` 0.2.4, which is for non-commercial use and wants a compiler; the tests need
neither. Run from the repository's root: PYTHONPATH=src python tests/golden/make_diffq.py
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from diffq import DiffQuantizer

from unbraid.zoo.package import fingerprint

FOLDER = Path(__file__).with_name("diffq")
COMMON = {"sources": ["vocals", "rest"], "samplerate": 8000, "segment": 1}
WAVE = {"channels": 4, "depth": 3, "norm_starts": 1, "norm_groups": 2, "dconv_attn": 2, "dconv_lstm": 2}
HYBRID = {"channels": 4, "depth": 4, "nfft": 256, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 2}
TRANSFORMER = {"channels": 8, "depth": 2, "nfft": 256, "bottom_channels": 24, "t_layers": 3, "t_heads": 2}
PUBLISHED = {"min_size": 0.004, "group_size": 8}  # in files of full size 0.2 MB, and 8

# From a file's name to class, arguments, those of the quantiser, and how its state is written.
FILES = {
    "wave": (Demucs, WAVE, PUBLISHED, {}),
    "hybrid": (HDemucs, HYBRID, PUBLISHED, {}),
    "hybrid_bands": (HDemucs, {**HYBRID, "multi_freqs": [0.5], "multi_freqs_depth": 1}, PUBLISHED, {}),
    "hybrid_int16": (HDemucs, {**HYBRID, "cac": False}, PUBLISHED, {"torch_pack": True}),
    "transformer": (HTDemucs, {**TRANSFORMER, "dconv_mode": 3}, {**PUBLISHED, "float16": True}, {}),
    "wave_whole": (Demucs, WAVE, {**PUBLISHED, "group_size": 0}, {"packed": False}),
}


def packed(network, arguments, how):
    """The packed state, and the network restored from it."""
    quantizer = DiffQuantizer(network, **arguments)
    for index, weight in enumerate(quantizer._qparams):
        # From 2 to 14 bits; one weight has the same number throughout, which takes no plane at all.
        weight.logit.data.normal_(-1, 1.5).clamp_(-12, 2.3)
        if not index:
            weight.logit.data.fill_(-12)
    state = quantizer.get_quantized_state(**how)
    state["__quantized"] = True
    quantizer.restore_quantized_state(state)
    quantizer.detach()
    return state


if __name__ == "__main__":
    torch.manual_seed(5)
    restored = {}
    for name, (klass, options, arguments, how) in FILES.items():
        kwargs = {**COMMON, **options}
        network = klass(**kwargs)
        state = packed(network, arguments, how)
        package = {"klass": klass, "args": (), "kwargs": kwargs, "state": state, "training_args": {}}
        # DiffQ fills its planes up with zeros, of which a small file mostly consists.
        with gzip.GzipFile(FOLDER / f"{name}.th.gz", "wb", mtime=0) as file:
            torch.save(package, file, _use_new_zipfile_serialization=name != "hybrid_int16")
        restored[name] = fingerprint({key: value.detach() for key, value in network.named_parameters()})
    text = json.dumps(restored, indent=2)
    (FOLDER / "restored.json").write_text(f"{text}\n", encoding="utf-8")
