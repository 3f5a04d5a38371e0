"""MDX-Net as the UVR community's ONNX files hold it: the network of one source, without its spectra.

The exporter multiplied norms into the convolutions before them, and gave what it made new names. Names tell
nothing, then; the order of the operations tells all, for it is that of the network:

    Conv                       the first, 1×1; later of kernels 3×3, then 2×2 on the way down; the last, 1×1
    MatMul ×2, or ×1, or ×0    a block's full layers; its weight is (in, out), ours (out, in)
    ConvTranspose              on the way up
    Add                        a MatMul's bias, where it has one
    BatchNormalization         the norm of what is before it, where the exporter left one
    Identity                   another name of a weight that stands several times

A norm that is gone becomes one that changes nothing, to the bit.

Source: graphs as `torch.onnx.export` writes them, opset 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from unbraid.zoo.onnx_weights import Graph, Node

ARCHITECTURE = "mdx_net"

_LAYERS = frozenset({"Conv", "ConvTranspose", "MatMul"})
_NORM = "BatchNormalization"
_IDLE = frozenset({"Relu", "Transpose", "Mul", "Add"})  # Mul is a skip connection, another Add a block's
_EPS = 1e-5  # of the norms
_DOWN = (2, 2)  # kernel of the convolutions that lead a level down


@dataclass(slots=True)
class _Layer:
    """A layer in the order of the graph, with what follows it."""

    kind: str
    weight: Tensor  # as ours
    bias: Tensor | None = None
    norm: tuple[Tensor, ...] | None = None  # weight, bias, mean, variance

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[2:])


@dataclass(frozen=True, slots=True)
class _Shape:
    """Sizes of a network, as its layers tell them."""

    levels: int
    convolutions: int
    full_layers: int


def configuration(graph: Graph) -> dict[str, Any]:
    """What a graph tells of its network's one target; the length of its STFT frames it does not.

    Args:
        graph: The ONNX file.

    Returns:
        Fields of a `Target`, and `audio_channels`.

    Raises:
        WeightsError: If the graph is no MDX-Net.
    """
    layers = _layers(graph)
    shape = _shape(layers)
    first, full = layers[0], layers[1 + shape.convolutions :][: shape.full_layers]
    _, _, bins, frames = next((size for size in graph.inputs.values() if len(size) == 4), (0, 0, 0, 0))
    if full:
        bins = full[0].weight.shape[1]
    if not bins or not frames:
        raise WeightsError("the graph does not say how many bins and frames its network takes")
    kernels = [layer.kernel[0] for layer in layers[1 : 1 + shape.convolutions]]
    return {
        "audio_channels": first.weight.shape[1] // 2,
        "bins": bins,
        "frames": frames,
        "levels": shape.levels,
        "channels": first.weight.shape[0],
        "convolutions": shape.convolutions,
        "kernel_size": kernels[0] if kernels else 3,
        "bottleneck": (None, 0, bins // full[0].weight.shape[0] if full else 0)[shape.full_layers],
        "bias": bool(full) and full[0].bias is not None,
    }


def rename(graph: Graph) -> dict[str, Tensor]:
    """The weights under the network's names and in its shapes.

    Args:
        graph: The ONNX file.

    Returns:
        All weights of the graph; the caller compares names and shapes with the network's.

    Raises:
        WeightsError: If the graph is no MDX-Net.
    """
    layers = _layers(graph)
    names = list(_names(_shape(layers)))
    if len(names) != len(layers):
        raise WeightsError(
            f"the graph has {len(layers)} layers with weights; an MDX-Net of its depth has {len(names)}"
        )
    state: dict[str, Tensor] = {}
    for name, layer in zip(names, layers, strict=True):
        state |= _state(name, layer)
    return {f"targets.0.{name}": value.contiguous() for name, value in state.items()}


def _layers(graph: Graph) -> list[_Layer]:
    """All layers that have weights, in order."""
    layers: list[_Layer] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        held = [tensors[name] for name in node.inputs if name in tensors]
        if node.kind == "Identity" and held:
            tensors |= dict.fromkeys(node.outputs, held[0])
        elif node.kind in _LAYERS and held:
            layers.append(_layer(node, held))
        elif node.kind == _NORM and layers and len(held) == 4:
            layers[-1].norm = tuple(held)
        elif node.kind == "Add" and held and layers and layers[-1].kind == "MatMul":
            layers[-1].bias = held[0]
        elif node.kind not in _IDLE or held:
            raise WeightsError(f"the graph has an operation {node.kind}, which no MDX-Net has there")
    return layers


def _layer(node: Node, held: list[Tensor]) -> _Layer:
    weight = held[0].T if node.kind == "MatMul" else held[0]
    if weight.ndim != (2 if node.kind == "MatMul" else 4):
        raise WeightsError(f"the graph has a {node.kind} with weights of shape {tuple(weight.shape)}")
    return _Layer(node.kind, weight, held[1] if len(held) > 1 else None)


def _shape(layers: list[_Layer]) -> _Shape:
    """How deep the network is, and how its blocks are."""
    kinds = ["Down" if (layer.kind, layer.kernel) == ("Conv", _DOWN) else layer.kind for layer in layers]
    if kinds[:1] != ["Conv"] or kinds[-1:] != ["Conv"]:
        raise WeightsError("the graph does not begin and end with a convolution, as an MDX-Net does")
    levels = kinds.count("ConvTranspose")
    blocks = 2 * levels + 1
    convolutions, odd = divmod(kinds.count("Conv") - 2, blocks)
    full_layers, left = divmod(kinds.count("MatMul"), blocks)
    if odd or left or full_layers > 2 or kinds.count("Down") != levels:
        raise WeightsError("the graph's layers make no equal blocks, as those of an MDX-Net do")
    return _Shape(levels, convolutions, full_layers)


def _names(shape: _Shape) -> Iterator[str]:
    """The network's names of its layers, in order."""

    def block(name: str) -> Iterator[str]:
        yield from (f"{name}.tfc.H.{number}.0" for number in range(shape.convolutions))
        yield from (f"{name}.tdf.{3 * number}" for number in range(shape.full_layers))

    yield "first_conv.0"
    for level in range(shape.levels):
        yield from block(f"encoding_blocks.{level}")
        yield f"ds.{level}.0"
    yield from block("bottleneck_block")
    for level in range(shape.levels):
        yield f"us.{level}.0"
        yield from block(f"decoding_blocks.{level}")
    yield "final_conv.0"


def _state(name: str, layer: _Layer) -> dict[str, Tensor]:
    """The weights of a layer and of the norm behind it."""
    if layer.norm is not None and name == "final_conv.0":
        raise WeightsError("the graph has a norm behind its last convolution, where an MDX-Net has none")
    state = {f"{name}.weight": layer.weight}
    if layer.bias is not None:
        state[f"{name}.bias"] = layer.bias
    if name == "final_conv.0":
        return state
    stem, _, place = name.rpartition(".")
    norm = f"{stem}.{int(place) + 1}"
    width = layer.weight.shape[1 if layer.kind == "ConvTranspose" else 0]
    values = layer.norm or _nothing(width)
    parts = ("weight", "bias", "running_mean", "running_var")
    state |= {f"{norm}.{part}": value for part, value in zip(parts, values, strict=True)}
    return {**state, f"{norm}.num_batches_tracked": torch.zeros((), dtype=torch.long)}


def _nothing(channels: int) -> tuple[Tensor, ...]:
    """A norm that changes nothing: the variance and what is added to it make exactly 1."""
    return (
        torch.ones(channels),
        torch.zeros(channels),
        torch.zeros(channels),
        torch.full((channels,), 1 - _EPS),
    )
