"""How many operations a network's products take: of linear layers, convolutions, recurrences and attention.

A multiplication with its addition is two operations. Norms, activations and transforms are not counted; they
are a few hundredths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from torch import Tensor, nn


def operations(network: nn.Module, mixture: Tensor) -> int:
    """What a network takes for a mixture `(B, C, T)`; it is run once."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    # The counter would ask for the gradient of a parameter that is handed from layer to layer.
    network.requires_grad_(requires_grad=False)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=_MORE) as counter:
            network(mixture)
    finally:
        for parameter in learning:
            parameter.requires_grad_()
    return int(counter.get_total_flops())


def _of_attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Scores and sums, from shapes `(B, H, T, D)`."""
    batch, heads, asking, size = query
    answering = key[2]
    return int(2 * batch * heads * asking * answering * (size + value[3]))


def _of_recurrence(x: Any, from_input: Any, from_state: Any, *_: Any, **__: Any) -> int:
    """Both products of each step, from shapes `(T, B, C)` and `(gates, …)`."""
    steps, batch, width = x
    return int(2 * steps * batch * from_input[0] * (width + from_state[1]))


# What PyTorch's own counter does not know: operations that a processor's layers are fused into.
_MORE = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _of_attention,  # noqa: SLF001 - so it is called
    torch.ops.aten.mkldnn_rnn_layer: _of_recurrence,
}
