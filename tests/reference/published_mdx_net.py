"""The published class of MDX-Net's networks, from a package that carries the file.

The package itself would bring a dozen others, and the class derives from a trainer's; neither is needed to
run it. So only the two files are executed, and the trainer's class is torch's own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from types import ModuleType
from unittest import mock

from torch import nn

_FOLDER = "audio_separator/separator/uvr_lib_v5"


def published(target, *, norm, hop_length):
    """The published network of a target.

    Args:
        target: A `Target`, or anything with its fields.
        norm: "batch" or "group", which its optimiser decides there.
        hop_length: Samples between two frames.
    """
    folder = ModuleType("published_uvr")
    folder.__path__ = [str(importlib.metadata.distribution("audio-separator").locate_file(_FOLDER))]
    trainer = ModuleType("pytorch_lightning")
    trainer.LightningModule = nn.Module
    with mock.patch.dict(sys.modules, {"published_uvr": folder, "pytorch_lightning": trainer}):
        module = importlib.import_module("published_uvr.mdxnet")
    return module.ConvTDFNet(
        target_name="vocals",
        lr=1e-4,
        optimizer={"batch": "rmsprop", "group": "adamw"}[norm],
        dim_c=4,
        dim_f=target.bins,
        dim_t=target.frames,
        n_fft=target.n_fft,
        hop_length=hop_length,
        num_blocks=2 * target.levels + 1,
        l=target.convolutions,
        g=target.channels,
        k=target.kernel_size,
        bn=target.bottleneck,
        bias=target.bias,
        overlap=0,
    )


def weights_of(network):
    """The published network's weights, without what is none."""
    return {name: value for name, value in network.state_dict().items() if name not in {"window", "freq_pad"}}
