"""How Music-Source-Separation-Training runs a network over a song: its own code, from the package msst."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from unittest import mock

import torch


class Section(dict):
    """A section of a configuration file, as its program has it."""

    def __getattr__(self, key):
        if key not in self:
            raise AttributeError(key)
        return self[key]


def published_demix(network, mixture, *, chunk, num_overlap, batch_size=1, kind="bs_roformer", rate=1):
    """The estimates `(S, C, T)` of a mixture `(C, T)`.

    Args:
        network: From `(B, C, chunk)` to `(B, S, C, chunk)`.
        mixture: The song.
        chunk: Samples that the network is given at once.
        num_overlap: How often each sample is heard.
        batch_size: Chunks at once.
        kind: The program's name of the network; one is run in a way of its own.
        rate: Samples a second, where chunks are counted in seconds.
    """
    stems = network(torch.zeros(1, *mixture.shape[:1], chunk)).shape[1]
    names = [f"source {number}" for number in range(stems)]
    config = Section(
        audio=Section(chunk_size=chunk),
        inference=Section(num_overlap=num_overlap, batch_size=batch_size),
        training=Section(instruments=names, samplerate=rate, segment=chunk / rate, use_amp=False),
    )
    found = _module().demix(config, network, mixture.numpy(), torch.device("cpu"), kind)
    return torch.stack([torch.from_numpy(found[name]) for name in names])


def _module():
    """The file that has it; what it imports for training has stand-ins."""
    collections = ModuleType("ml_collections")
    collections.ConfigDict = Section
    root = importlib.metadata.distribution("msst").locate_file("msst/utils/model_utils.py")
    spec = importlib.util.spec_from_file_location("published_demix_of_msst", str(root))
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"ml_collections": collections}):
        spec.loader.exec_module(module)
    return module
