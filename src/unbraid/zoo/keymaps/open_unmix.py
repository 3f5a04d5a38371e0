"""Open-Unmix as its checkpoints hold it: the weights of one source a file, by our names.

What a network is made from, no file tells, but shapes do. Old files hold more than weights:

    stft.window, transform.0.window     the window of the transform, a periodic Hann
    sample_rate                         in Hz

Source: the openunmix 1.3.0 package, and the published files of 2019 (names and shapes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ARCHITECTURE = "open_unmix"

_IDLE = frozenset({"stft.window", "transform.0.window", "sample_rate"})


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one source without what is none of them.

    >>> rename({"fc1.weight": 1, "stft.window": 2})
    {'fc1.weight': 1}
    """
    return {name: weight for name, weight in state.items() if name not in _IDLE}


def sizes(state: Mapping[str, Tensor]) -> dict[str, object]:
    """Our configuration, as a mapping, as far as the weights of one source tell.

    Args:
        state: By our names, without the part.
    """
    bins = len(state["output_mean"])
    return {
        "audio_channels": len(state["fc3.weight"]) // bins,
        "n_fft": 2 * (bins - 1),
        "max_bin": len(state["input_mean"]),
        "hidden_size": len(state["fc1.weight"]),
        "layers": sum(name.startswith("lstm.weight_ih_l") and name[-1].isdigit() for name in state),
        "unidirectional": "lstm.weight_ih_l0_reverse" not in state,
    }


def joined(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Weights of all sources, each under the name of its place.

    Args:
        states: Of each source, in the order of the network's output.

    >>> joined({"vocals": {"fc1.weight": 1}, "drums": {"fc1.weight": 2}})
    {'targets.0.fc1.weight': 1, 'targets.1.fc1.weight': 2}
    """
    return {
        f"targets.{place}.{name}": weight
        for place, state in enumerate(states.values())
        for name, weight in state.items()
    }
