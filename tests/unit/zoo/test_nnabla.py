"""NNabla's parameter files, and what else HDF5 could do."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest
import torch

from unbraid.errors import MachineError, WeightsError
from unbraid.zoo.convert import read
from unbraid.zoo.nnabla import read_parameters


@pytest.fixture
def path(tmp_path):
    """A file with one parameter."""
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["fc/affine/W"] = np.arange(6, dtype=np.float32).reshape(2, 3)
    return path


def test_every_parameter_is_read_by_scope_and_name(path):
    with h5py.File(path, "a") as file:
        file["fc/affine/W"].attrs["need_grad"] = True
        file["step"] = np.int64(7)
        file["big_endian"] = np.array([1.5, -2.5], dtype=">f4")
        file["none"] = np.zeros((0, 3), dtype=np.float64)
    found = read_parameters(path)
    assert found.keys() == {"fc/affine/W", "step", "big_endian", "none"}
    assert found["fc/affine/W"].equal(torch.arange(6.0).view(2, 3))
    assert found["step"].equal(torch.tensor(7))
    assert found["big_endian"].tolist() == [1.5, -2.5]
    assert found["none"].shape == (0, 3)


def test_links_are_not_followed(path):
    with h5py.File(path, "a") as file:
        file["soft"] = h5py.SoftLink("/fc/affine/W")
        file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
    assert read_parameters(path).keys() == {"fc/affine/W"}


def _external(file):
    file.create_dataset("x", shape=(4,), dtype="u1", external=[("/etc/hostname", 0, 4)])


def _virtual(file):
    layout = h5py.VirtualLayout(shape=(6,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(6,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    "add",
    [
        _external,
        _virtual,
        lambda file: file.create_dataset("x", shape=(2**40,), dtype="f4"),
        lambda file: file.create_dataset(
            "x", shape=(2**30,), dtype="f4", chunks=(2**20,), compression="gzip"
        ),
        lambda file: file.create_dataset("x", data=np.zeros(2**20), compression="gzip"),
        lambda file: file.create_dataset("x", data="text"),
        lambda file: file.create_dataset("x", data=np.zeros(2, dtype=[("a", "f4"), ("b", "f4")])),
        lambda file: file.create_dataset("x", data=np.zeros(2, dtype=np.complex64)),
    ],
    ids=["external", "virtual", "no room", "no room, packed", "packed", "text", "records", "complex"],
)
def test_what_is_no_plain_array_in_the_file_is_refused_by_name(path, add):
    with h5py.File(path, "a") as file:
        add(file)
    with pytest.raises(WeightsError, match=r"model\.h5: x is no plain array of numbers within the file"):
        read_parameters(path)


def test_a_file_of_very_many_parameters_is_refused(path, monkeypatch):
    monkeypatch.setattr("unbraid.zoo.nnabla._MOST", 1)
    with h5py.File(path, "a") as file:
        file["a"] = 1.0
    with pytest.raises(WeightsError, match="more than 1 parameters"):
        read_parameters(path)


@pytest.mark.parametrize("kept", [9, 100, 500])
def test_a_file_that_was_cut_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"model\.h5 is damaged"):
        read(path)


def test_a_file_of_another_network_is_refused_with_what_it_holds(path):
    with pytest.raises(WeightsError, match=r"does not say which network .* it holds fc/affine/W"):
        read(path)


def test_without_h5py_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MachineError, match=r"needs h5py; .* 'unbraid\[hdf5\]'"):
        read(path)
