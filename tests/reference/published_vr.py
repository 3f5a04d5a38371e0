"""The published VR networks and the program around them, from two packages that carry the files.

The networks come from one that needs nothing but torch. The program comes from the other, of which only three
files are executed: it would bring a dozen packages, of which it needs librosa here and names the others.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import torch

from unbraid.dsp import multiband
from unbraid.networks.vr_net import Config

_NETWORKS = "pymss_core.modules.vocal_remover.uvr_lib_v5.vr_network"
_PACKAGE = "audio_separator.separator"
# What decides the kind of the first generation: the size of its file, in KiB.
_SIZES = {(4, 5): 31191, (4, 7): 33966, (5, 6): 129605}


def published_network(config):
    """The published class with the sizes of a `Config`."""
    bins = 2 * config.bands.bins
    if config.recurrence:
        module = importlib.import_module(f"{_NETWORKS}.nets_new")
        return module.CascadedNet(bins, 0, config.channels, config.recurrence)
    ch = config.channels
    bridges = [(2 + ch, ch // 2, 1, 1, 0), (2 + 2 * ch, ch, 1, 1, 0)]
    heads = [(2 * ch, 2, 1), (ch, 2, 1), (ch, 2, 1)]
    sizes = [(2, ch), (2, ch), bridges[0], (ch // 2, ch), bridges[1], (ch, 2 * ch), *heads]
    module = importlib.import_module(f"{_NETWORKS}.nets")
    return module.CascadedASPPNet(bins, sizes, _SIZES[config.levels, config.views])


@contextmanager
def published_program():
    """The modules of the program: `(spec_utils, vr_separator)`; librosa must be installed."""
    folder = importlib.metadata.distribution("audio-separator").locate_file(_PACKAGE.replace(".", "/"))
    stubs = {name: ModuleType(name) for name in ("audio_separator", _PACKAGE, f"{_PACKAGE}.common_separator")}
    stubs[_PACKAGE].__path__ = [str(folder)]
    stubs[f"{_PACKAGE}.common_separator"].CommonSeparator = type(
        "CommonSeparator", (), {"NON_ACCOM_STEMS": ("Vocals",)}
    )
    with mock.patch.dict(sys.modules, stubs):
        tools = importlib.import_module(f"{_PACKAGE}.uvr_lib_v5.spec_utils")
        program = importlib.import_module(f"{_PACKAGE}.architectures.vr_separator")
        yield tools, program.VRSeparator


def published_layout(name):
    """A layout's file as the program reads it."""
    folder = importlib.metadata.distribution("audio-separator").locate_file(
        f"{_PACKAGE.replace('.', '/')}/uvr_lib_v5/vr_network"
    )
    text = (folder / f"modelparams/{name}.json").read_text(encoding="utf-8")
    keys = lambda pairs: {int(key) if key.isdigit() else key: value for key, value in pairs}  # noqa: E731
    found = json.loads(text, object_pairs_hook=keys)
    flags = dict.fromkeys(("mid_side", "mid_side_b", "mid_side_b2", "stereo_w", "stereo_n", "reverse"), False)
    return SimpleNamespace(param={**flags, **found, "bins": found.get("n_bins", found.get("bins"))})


# Two small networks with all that the program does around them.
PROGRAMS = {
    "first": Config(
        sources=("vocals", "accompaniment"),
        layout="3band_44100_msb2",
        channels=4,
        views=7,
        window=320,
        accompaniment=False,
        mirror=True,
        aggressiveness=0.1,
    ),
    "recurrent": Config(layout="4band_v3_sn", channels=8, recurrence=16, window=160),
}


def bands_of():
    """Each layout with each generation that it can be of: `(name, recurrent)`."""
    names = sorted(multiband._layouts())
    # One layout's spectrum ends in a cut, which the program of the second generation cannot make.
    return [(name, recurrent) for name in names for recurrent in (False, True)[: 1 + ("_cut" not in name)]]


def noise(name, *, hops=24, silent=0):
    """What is put into a layout, `(2, T)`; the first and last hops may be silent."""
    hop, generator = multiband.layout(name).hop_length, torch.Generator().manual_seed(hops)
    signal = 0.3 * torch.randn(2, hops * hop, generator=generator)
    return torch.nn.functional.pad(signal, (silent * hop, silent * hop)).numpy()


def track(config):
    """What a network of `PROGRAMS` separates, `(2, T)`.

    The program puts empty frames around a track's spectrum; we put silence around the track, whose frames
    hear the first sounds. Silence within the track makes both the same.
    """
    return noise(config.layout, hops=126, silent=12)


def places(size, count=120):
    """Which values of a flat array are kept."""
    return np.random.default_rng(size).integers(size, size=count)


def weights_of(state, theirs):
    """A network's weights by the names of the published class, which has heads that only training needs."""
    ours = {name.removeprefix("cascade."): value for name, value in state.items()}
    return {
        name: ours.get(name.replace(".aspp.conv7.", ".aspp.conv6."), value)
        for name, value in theirs.state_dict().items()
    }
