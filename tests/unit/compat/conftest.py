"""What both packages can run: the published networks, small, with a spec put on; and a folder of packages."""

from __future__ import annotations

import hashlib
import importlib
import io
from fractions import Fraction

import pytest
import torch

from networks.tiny import lively
from unbraid.spec import Ladder, ModelSpec

RATE = 8000
SEGMENT = Fraction(1, 4)
SHARED = {"sources": ["drums", "vocals"], "samplerate": RATE, "segment": SEGMENT, "channels": 8}
HYBRID = {"nfft": 256, "depth": 2, "bottom_channels": 16, "t_layers": 2, "t_heads": 2, "dconv_mode": 3}

# Class, arguments, and what our engine must know: one length only, any length, the lengths of a ladder.
NETWORKS = {
    "htdemucs": ("demucs.htdemucs:HTDemucs", {**SHARED, **HYBRID}, {"fixed": True}),
    "hdemucs": ("demucs.hdemucs:HDemucs", {**SHARED, "nfft": 256, "depth": 4}, {}),
    "demucs": (
        "demucs.demucs:Demucs",
        {**SHARED, "depth": 3, "lstm_layers": 1},
        {"ladder": Ladder(kernel=8, stride=4, depth=3, oversampling=2)},
    ),
}


def made(name):
    """One of these networks, lively and in evaluation mode."""
    place, arguments, facts = NETWORKS[name]
    module, kind = place.split(":")
    network = getattr(importlib.import_module(module), kind)(**arguments)
    network.load_state_dict(lively(network.state_dict()))
    network.spec = ModelSpec(tuple(SHARED["sources"]), RATE, 2, segment=int(SEGMENT * RATE), **facts)
    return network.eval()


def packed(name, gain):
    """One of these networks as demucs publishes it, all its weights times a factor."""
    network = made(name)
    package = {
        "klass": type(network),
        "args": (),
        "kwargs": NETWORKS[name][1],
        "state": {key: gain * value for key, value in network.state_dict().items()},
        "training_args": {},
    }
    buffer = io.BytesIO()
    torch.save(package, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def networks():
    """The small networks by name; made once."""
    with torch.random.fork_rng(devices=[]):
        return {name: made(name) for name in NETWORKS}


@pytest.fixture
def network(networks):
    """The one that takes any length."""
    return networks["hdemucs"]


@pytest.fixture(scope="session")
def repo(tmp_path_factory):
    """A folder as demucs keeps it: four checkpoints, one with a checksum, and two bags."""
    folder = tmp_path_factory.mktemp("repo")
    with torch.random.fork_rng(devices=[]):
        signed = packed("htdemucs", 1.0)
        (folder / f"1a2b3c4d-{hashlib.sha256(signed).hexdigest()[:8]}.th").write_bytes(signed)
        for name, network in (("plain", "htdemucs"), ("hybrid", "hdemucs"), ("wave", "demucs")):
            (folder / f"{name}.th").write_bytes(packed(network, 0.9))
    (folder / "alike.yaml").write_text("models: ['1a2b3c4d', 'wave', 'hybrid']")
    (folder / "each.yaml").write_text(
        "models: ['1a2b3c4d', 'hybrid']\n# who counts for what\n"
        "weights: [\n  [1., 0.],\n  [0.5, 2.],  # both\n]\nsegment: 0.5\n"
    )
    return folder


@pytest.fixture
def snr():
    """How far one tensor is from another, in dB."""

    def ratio(reference, other):
        assert reference.shape == other.shape
        difference = (reference - other).double().square().sum()
        return (10 * (reference.double().square().sum() / difference).log10()).item()

    return ratio
