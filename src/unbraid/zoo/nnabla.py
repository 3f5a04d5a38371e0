"""Reads NNabla's parameter files, which are HDF5: a dataset for each parameter, its scopes being groups.

HDF5 can also point to other files, compute what it does not hold, and claim any size; here only what lies in
the file itself counts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from unbraid.errors import MachineError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

HEAD = rb"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins
_MOST = 10_000  # parameters; published networks have some hundred


def read_parameters(path: Path) -> dict[str, Tensor]:
    """The parameters in an NNabla file, by scope and name, as in `fc1_bass/affine/W`.

    Args:
        path: An `.h5` file that `nnabla.save_parameters` wrote.

    Raises:
        WeightsError: If the file is damaged, or holds more than numbers of its own.
        MachineError: If h5py is not installed.
    """
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise MachineError(
            f"{path.name} is an HDF5 file, which needs h5py; it comes with pip install 'unbraid[hdf5]'"
        ) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = _datasets(file, h5py, path)
            return {name: _values(dataset) for name, dataset in found.items()}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path.name} is damaged: {error}") from error


def _datasets(file: Any, h5py: Any, path: Path) -> dict[str, Any]:
    """All datasets by their full names; links are not followed.

    They must be plain arrays that lie in the file as they are, and together take no more room than it has.
    """
    found: dict[str, Any] = {}

    def met(name: str, item: Any) -> None:
        if len(found) >= _MOST:
            raise WeightsError(f"{path.name} holds more than {_MOST} parameters")
        if isinstance(item, h5py.Dataset):
            if not _is_plain(item):
                raise WeightsError(f"{path.name}: {name} is no plain array of numbers within the file")
            found[name] = item

    file.visititems(met)
    if sum(dataset.nbytes for dataset in found.values()) > path.stat().st_size:
        raise WeightsError(f"{path.name} claims to hold more than it can")
    return found


def _is_plain(dataset: Any) -> bool:
    """Whether a dataset is numbers that lie in the file one behind the other, as many as it claims."""
    in_one_piece = dataset.chunks is None and not dataset.is_virtual and not dataset.external
    return bool(
        dataset.dtype.kind in "fiu" and in_one_piece and dataset.id.get_storage_size() == dataset.nbytes
    )


def _values(dataset: Any) -> Tensor:
    """The numbers of a dataset, in this machine's order of bytes."""
    values = dataset[()].astype(dataset.dtype.newbyteorder("="), copy=False)
    return torch.as_tensor(values)
