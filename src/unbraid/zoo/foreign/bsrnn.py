"""BSRNN as the one public program describes it in its `hparams.yaml`, and as its weights' shapes tell.

Source: github.com/amanteur/BandSplitRNN-PyTorch (arguments of its class).
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import known_section, section, taken, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIELDS: Mapping[str, str] = {
    "sr": "sample_rate",
    "n_fft": "n_fft",
    "t_timesteps": "frames",
    "fc_dim": "channels",
    "rnn_dim": "hidden",
    "num_layers": "depth",
    "mlp_dim": "mask_channels",
    "bandsplits": "bands",
    "is_mono": "audio_channels",
}
# The only values that make the network that we know.
_FIXED: Mapping[str, object] = {
    "complex_as_channel": True,
    "bottleneck_layer": "rnn",
    "rnn_type": "LSTM",
    "bidirectional": True,
    "return_mask": False,
}


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration of the network that a file describes.

    Args:
        yaml: The whole file, parsed: sections model, featurizer, audio_params.

    Raises:
        ConfigError: If a key of the model is unknown or missing, or the network one that we cannot make.
    """
    model = known_section(yaml, "model", {*_FIELDS, *_FIXED})
    found = taken(model, _FIELDS)
    missing = [key for key, ours in _FIELDS.items() if ours not in found]
    if missing:
        raise ConfigError(f"model of bsrnn: missing key {missing[0]!r}")
    for key, value in _FIXED.items():
        if model.get(key, value) != value:
            raise ConfigError(f"model of bsrnn: {key} is {model[key]!r}; only {value!r} is known")
    transform = section(section(yaml, "featurizer"), "direct_transform")
    return {
        **found,
        "sources": [str(section(yaml, "audio_params").get("target", "vocals"))],
        "audio_channels": 1 if model["is_mono"] else 2,
        "hop_length": whole_number(transform, "hop_length", 512),
        "bands": bands_of(model["bandsplits"], model["sr"], model["n_fft"]),
    }


def bands_of(splits: Sequence[Sequence[int]], sample_rate: int, n_fft: int) -> list[int]:
    """Bins of each band.

    Args:
        splits: Up to which frequency, in Hz, bands are how wide, in Hz.
        sample_rate: In Hz.
        n_fft: Samples of a frame.

    Raises:
        ConfigError: If a width is not positive.

    >>> bands_of([(1000, 500), (3000, 1000)], 8000, 16)
    [1, 1, 2, 2, 3]
    """
    ends, low = [0], 0
    for high, step in splits:
        if step < 1:
            raise ConfigError(f"bands of {step} Hz were asked for; they must be 1 Hz wide at least")
        # A bin belongs to the band if its frequency is below the band's end.
        ends += [-(-end * n_fft // sample_rate) for end in range(low + step, high + step, step)]
        low = high
    return [end - start for start, end in itertools.pairwise([*ends, n_fft // 2 + 1])]


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Our configuration of the network whose weights have these shapes, as far as they tell.

    They tell no names, rates and hops, nor whether channels are apart: for these the defaults hold. Two
    channels are assumed if that makes a frame a power of two, otherwise one.

    Args:
        shapes: Of each weight, by name.

    Raises:
        ConfigError: If these are not the shapes of a BSRNN's weights.
    """
    names = [re.match(r"bandsplit\.fcs\.(\d+)\.weight", name) for name in shapes]
    blocks = [re.match(r"bandsequence\.bsrnn\.(\d+)\.", name) for name in shapes]
    try:
        bands = 1 + max(int(match[1]) for match in names if match)
        sizes = [shapes[f"bandsplit.fcs.{band}.weight"] for band in range(bands)]
        norm = shapes["bandsplit.layernorms.0.weight"]
        found = {
            "depth": 1 + max(int(match[1]) for match in blocks if match),
            "channels": sizes[0][0],
            "hidden": shapes["bandsequence.bsrnn.0.0.rnn.weight_hh_l0"][1],
            "mask_channels": shapes["maskest.mlp.0.mlp.0.weight"][0],
        }
    except (LookupError, ValueError) as error:
        raise ConfigError(f"these are not the weights of a BSRNN: {error!r}") from error
    numbers = sum(size[1] for size in sizes)
    channels = 2 if numbers % 4 == 0 and (numbers // 4 - 1) & (numbers // 4 - 2) == 0 else 1
    return {
        **found,
        "audio_channels": channels,
        "bands": [size[1] // (2 * channels) for size in sizes],
        "n_fft": 2 * (numbers // (2 * channels) - 1),
        "joint": len(norm) == 2,
        **({"frames": norm[1]} if len(norm) == 2 else {}),
    }
