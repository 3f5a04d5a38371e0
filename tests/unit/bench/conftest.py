"""A tiny network of one's own, as a file."""

from __future__ import annotations

import pytest

from unbraid.networks.base import build
from unbraid.zoo.convert import write
from unbraid.zoo.package import Package, fingerprint

CONFIG = {"channels": 8, "bottom_channels": 16, "t_heads": 2, "segment": 1}


@pytest.fixture
def checkpoint(tmp_path):
    """A file with a network that takes milliseconds."""
    tensors = dict(build("htdemucs", CONFIG).state_dict())
    path = tmp_path / "tiny.safetensors"
    write(Package("tiny", "htdemucs", CONFIG, tensors, fingerprint(tensors)), path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache without any weights."""
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
