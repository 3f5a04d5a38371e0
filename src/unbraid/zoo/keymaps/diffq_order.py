"""The order of weights in the classes that DiffQ packed: all that its files know of their names.

DiffQ walks through a network's modules as they were registered, and within each through its own parameters.
Ours are registered in nearly the same order; what differs is stated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# By architecture: the names of modules that stand first among their siblings, in the published order.
_ORDERS: Mapping[str, tuple[str, ...]] = {
    "demucs": ("encoder", "decoder", "lstm"),
    "hdemucs": ("encoder", "decoder", "tencoder", "tdecoder"),
    "htdemucs": (
        *("encoder", "decoder", "tencoder", "tdecoder"),
        *("self_attn", "cross_attn", "linear1", "linear2", "norm1", "norm2", "norm3", "norm_out"),
    ),
}


def published_order(architecture: str, names: Iterable[str]) -> list[str]:
    """Names of weights in the order of the published class.

    Args:
        architecture: Ours.
        names: In the order of our network's `named_parameters`.

    Raises:
        WeightsError: If the architecture was never published in packed form.

    >>> published_order("demucs", ["encoder.0.0.weight", "lstm.linear.weight", "decoder.0.0.weight"])
    ['encoder.0.0.weight', 'decoder.0.0.weight', 'lstm.linear.weight']
    """
    if architecture not in _ORDERS:
        raise WeightsError(
            f"the weights are packed by DiffQ, which is known for {', '.join(_ORDERS)} and not {architecture}"
        )
    order = _ORDERS[architecture]
    met: dict[str, int] = {}

    def places(name: str) -> list[tuple[int, int]]:
        """Of each module on the path, and at last of the weight: the stated place, then ours."""
        parts = name.split(".")
        return [
            (
                order.index(part) if part in order else len(order),
                met.setdefault(".".join(parts[: depth + 1]), len(met)),
            )
            for depth, part in enumerate(parts)
        ]

    return sorted(names, key=places)
