"""Reads a model of one's own as Open-Unmix' training leaves it: a folder with files for each source.

    separator.json          sample rate, frame and hop of the transform
    vocals.json             how the source was trained
    vocals.pth              its weights; published ones have a hash behind the name, as in vocals-b62c91ce.pth
    vocals.chkpnt           what training kept; not read

Source: the openunmix 1.3.0 package (names).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps import open_unmix
from unbraid.zoo.package import Package, fingerprint
from unbraid.zoo.state import unwrapped, weights_of
from unbraid.zoo.torch_file import read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

SEPARATOR = "separator.json"
_KNOWN = ("vocals", "drums", "bass", "other")  # the published order; others follow by name
_MOST = 2**20  # bytes of a JSON file


def read_folder(path: Path, asked: Mapping[str, object]) -> Package:
    """The network of all sources that have files in a folder.

    Args:
        path: The folder.
        asked: The configuration that the caller wishes, for what the files do not tell.

    Raises:
        WeightsError: If a file is missing, damaged, or of another network than the others.
    """
    transform = _transform(path / SEPARATOR)
    states = {source: _state(path, source) for source in _sources(path)}
    told = {source: open_unmix.sizes(state) for source, state in states.items()}
    first, *others = told
    for source in others:
        if told[source] != told[first]:
            raise WeightsError(
                f"{path.name}: {source} is of another network than {first}; one has all sources"
            )
    if told[first]["n_fft"] != transform.pop("n_fft"):
        raise WeightsError(f"{path.name}: the transform of {SEPARATOR} is not that of the weights of {first}")
    config = {"sources": tuple(states), **told[first], **transform, **asked}
    tensors = open_unmix.joined(states)
    name = path.resolve().name
    return Package(name, open_unmix.ARCHITECTURE, config, tensors, fingerprint(tensors), source=name)


def _transform(path: Path) -> dict[str, object]:
    """Sample rate, frame and hop."""
    with path.open("rb") as handle:
        said = json.loads(handle.read(_MOST))
    return {
        "sample_rate": int(said["sample_rate"]),
        "n_fft": int(said["nfft"]),
        "hop_length": int(said["nhop"]),
    }


def _sources(path: Path) -> list[str]:
    """Those that have a file which says how they were trained."""
    found = {file.stem for file in path.glob("*.json")} - {SEPARATOR.removesuffix(".json")}
    if not found:
        raise WeightsError(f"{path.name} has {SEPARATOR}, but no source; each has a file such as vocals.json")
    return [*filter(found.__contains__, _KNOWN), *sorted(found.difference(_KNOWN))]


def _state(path: Path, source: str) -> dict[str, Tensor]:
    """The weights of a source."""
    named = re.compile(rf"{re.escape(source)}([-_][0-9a-f]{{8,64}})?\.pth")
    found = sorted(file for file in path.iterdir() if named.fullmatch(file.name))
    if len(found) != 1:
        listed = f", not {', '.join(file.name for file in found)}" if found else ""
        raise WeightsError(f"{path.name} must hold the weights of {source} in one file {source}.pth{listed}")
    content = read_torch(found[0])
    state = unwrapped(content) if isinstance(content, dict) else {}
    return open_unmix.rename(weights_of(state, found[0].name))
