"""The weights and the node names of an ONNX file, without the onnx package.

An ONNX file is a protocol-buffers message. Only the few fields that lead to the weights are read; their
numbers are those of onnx.proto.

    ModelProto.graph 7 ─┬─ GraphProto.node 1         NodeProto: input 1, output 2, name 3, op_type 4
                        ├─ GraphProto.initializer 5  TensorProto: dims 1, data_type 2, name 8, raw_data 9
                        └─ GraphProto.input 11       ValueInfoProto: name 1, type 2; in the type: tensor 1,
                                                     shape 2, dimensions 1, of each the size 1

Source: the ONNX specification (onnx.proto, IR version 8).
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError
from unbraid.zoo.protobuf import fields, varints

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_DTYPES: Mapping[int, torch.dtype] = {1: torch.float32, 10: torch.float16}  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph.

    Args:
        kind: Its operator, as "MatMul".
        name: The path of the module that it came from, as "/encoder.0/conv/Conv".
        inputs: Names of the values it takes, weights among them.
        outputs: Names of the values it makes.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """What an ONNX file says of its weights.

    Args:
        tensors: The stored values by their name in the file.
        nodes: All operations, in order.
        inputs: Sizes of what the graph takes, by name; 0 for one that may be any.
    """

    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def read_onnx(path: Path) -> Graph:
    """The weights and node names of an ONNX file.

    Args:
        path: The file.

    Returns:
        Its weights, in their precision, copied out of the file one by one.

    Raises:
        WeightsError: If the file is damaged, no ONNX, or keeps its weights elsewhere.
    """
    try:
        with path.open("rb") as handle:
            # Not closed by hand: an error's traceback may still hold views into it.
            data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        return _graph(_only(memoryview(data), 7))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from error
    except (ValueError, IndexError, RuntimeError, OverflowError, MemoryError) as error:
        raise WeightsError(f"{path.name} is damaged or no ONNX file: {error}") from error


def _graph(message: memoryview) -> Graph:
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: dict[str, tuple[int, ...]] = {}
    for number, value in fields(message):
        if number == 5 and isinstance(value, memoryview):
            name, tensor = _tensor(value)
            tensors[name] = tensor
        elif number == 1 and isinstance(value, memoryview):
            nodes.append(_node(value))
        elif number == 11 and isinstance(value, memoryview):
            name, shape = _input(value)
            inputs[name] = shape
    return Graph(tensors, tuple(nodes), inputs)


def _node(message: memoryview) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for number, value in fields(message):
        if number in texts and isinstance(value, memoryview):
            texts[number].append(bytes(value).decode())
    return Node("".join(texts[4]), "".join(texts[3]), tuple(texts[1]), tuple(texts[2]))


def _input(message: memoryview) -> tuple[str, tuple[int, ...]]:
    """The name of what the graph takes, and its sizes."""
    name = b"".join(_messages(message, 1)).decode()
    shapes = [
        shape
        for kind in _messages(message, 2)
        for tensor in _messages(kind, 1)
        for shape in _messages(tensor, 2)
    ]
    dimensions = [dict(fields(dimension)) for shape in shapes for dimension in _messages(shape, 1)]
    return name, tuple(size if isinstance(size := dimension.get(1), int) else 0 for dimension in dimensions)


def _messages(message: memoryview, wanted: int) -> list[memoryview]:
    """All fields of a number that are messages or texts."""
    return [value for number, value in fields(message) if number == wanted and isinstance(value, memoryview)]


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    """An initializer: its name and its values."""
    name, kind, shape = "", 0, []
    raw: memoryview | None = None
    for number, value in fields(message):
        if number == 1:  # one number a field, or many packed in one
            shape += [value] if isinstance(value, int) else varints(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number == 9 and isinstance(value, memoryview):
            raw = value
    if kind not in _DTYPES or raw is None:
        raise WeightsError(f"weight {name!r} is not stored as plain float32 or float16 in the file itself")
    if math.prod(shape) * _DTYPES[kind].itemsize != len(raw):
        raise WeightsError(f"weight {name!r} has {len(raw)} bytes, which do not make the shape {shape}")
    if not raw:
        return name, torch.empty(shape, dtype=_DTYPES[kind])
    return name, torch.frombuffer(bytearray(raw), dtype=_DTYPES[kind]).view(shape)


def _only(message: memoryview, wanted: int) -> memoryview:
    """The one field of a number that is itself a message."""
    found = [value for number, value in fields(message) if number == wanted]
    if len(found) != 1 or not isinstance(found[0], memoryview):
        raise WeightsError("the file holds no graph, or several")
    return found[0]
