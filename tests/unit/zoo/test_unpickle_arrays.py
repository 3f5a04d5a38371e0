"""NumPy's arrays in a pickle become tensors; what only looks like one is refused, and nothing is run."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from unbraid.errors import WeightsError
from unbraid.zoo.torch_file import read_torch


def read(payload, folder):
    """What the reader makes of a pickle in torch's container."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    (folder / "arrays.ckpt").write_bytes(buffer.getvalue())
    return read_torch(folder / "arrays.ckpt")


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "u1", "i1", "i2", "i4", "i8"])
def test_arrays_come_back_as_tensors(kind, protocol, tmp_path):
    values = np.arange(-6, 18).astype(kind)
    content = {
        "rows": values.reshape(2, 3, 4),
        "columns": np.asfortranarray(values.reshape(2, 3, 4)),
        "scalar": np.array(values[5]),
    }
    if protocol > 2:  # which writes bytes that are none as a call
        content["none"] = values[:0].reshape(3, 0)
    for name, tensor in read(pickle.dumps(content, protocol), tmp_path).items():
        assert tensor.dtype == torch.from_numpy(values).dtype
        assert np.array_equal(tensor.numpy(), content[name]), name


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_both_generations_of_numpy_are_read(module, tmp_path):
    payload = pickle.dumps({"w": np.ones(3, "f4")}, 2)
    for known in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        payload = payload.replace(known, module)
    assert read(payload, tmp_path)["w"].tolist() == [1, 1, 1]


def array(shape=b"I3\nt", kind=b"X\x02\x00\x00\x00f4", order=b"X\x01\x00\x00\x00<", values=b"abcdefghijkl"):
    """A pickled array, of parts that can be exchanged."""
    made = b"cnumpy\nndarray\n(I0\ntU\x01bt"
    dtype = b"cnumpy\ndtype\n(" + kind + b"I00\nI01\ntR(I3\n" + order + b"NNNI-1\nI-1\nI0\ntb"
    state = b"(I1\n(" + shape + dtype + b"I00\n" + b"B" + len(values).to_bytes(4, "little") + values + b"t"
    return b"\x80\x03}U\x01wcnumpy.core.multiarray\n_reconstruct\n(" + made + b"R" + state + b"bs."


def test_the_array_of_these_tests_can_be_read(tmp_path):
    assert read(array(), tmp_path)["w"].numpy().tobytes() == b"abcdefghijkl"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": b"I4\nt"}, "has 12 bytes, which do not make it"),
        ({"shape": b"L1099511627776L\nt"}, "has 12 bytes, which do not make it"),
        ({"shape": b"I-3\nt"}, "an impossible shape or type"),
        ({"shape": b"I-1\nI-3\nt"}, "an impossible shape or type"),
        ({"shape": b"]t"}, "an impossible shape or type"),
        ({"kind": b"X\x01\x00\x00\x00O"}, "an array of O, which no weights are"),
        ({"kind": b"X\x02\x00\x00\x00c8"}, "an array of c8"),
        ({"kind": b"N"}, "an array of None"),
        ({"order": b"X\x01\x00\x00\x00>"}, "sets attributes of a dtype; nothing was run"),
    ],
)
def test_what_makes_no_array_is_refused(changes, words, tmp_path):
    with pytest.raises(WeightsError, match=words):
        read(array(**changes), tmp_path)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nothing_is_run_for_an_array_of_objects(protocol, tmp_path):
    objects = np.array([Call(os.system, f"touch {tmp_path / 'sentinel'}")], dtype=object)
    with pytest.raises(WeightsError, match="refused: "):
        read(pickle.dumps({"w": objects}, protocol), tmp_path)
    assert not (tmp_path / "sentinel").exists()


@pytest.mark.parametrize(
    "name", ["numpy.core.multiarray.fromfile", "numpy.load", "numpy.memmap", "numpy.lib.format.read_array"]
)
def test_no_other_function_of_numpy_is_known(name, tmp_path):
    module, _, function = name.rpartition(".")
    with pytest.raises(WeightsError, match=f"asks for {name}"):
        read(f"c{module}\n{function}\n(tR.".encode(), tmp_path)


def test_one_text_does_not_make_many_arrays(tmp_path):
    values = b"B" + (2**20).to_bytes(4, "little") + bytes(2**20) + b"q\x07"
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4I00\nI01\ntRq\x08"
    again = b"cnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I262144\nth\x08I00\nh\x07tb"
    first = b"U\x05bytes" + values + b"sU\x04type" + dtype + b"s"
    payload = b"\x80\x03}" + first + b"U\x01w]" + (again + b"a") * 300 + b"s."
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="an array claims 1048576 bytes, more than the file holds"):
            read(payload, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_array_without_values_is_no_weight(tmp_path):
    content = read(b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\n(tRs.", tmp_path)
    assert not isinstance(content["w"], torch.Tensor)
