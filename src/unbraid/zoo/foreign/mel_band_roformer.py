"""Mel-Band RoFormer as Music-Source-Separation-Training describes it, and as its weights' shapes tell.

The first published files, of 2023, have a hidden layer fewer in their masks than the same words mean today;
only their shapes tell.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from unbraid.dsp.bands import mel_band_edges
from unbraid.errors import ConfigError
from unbraid.zoo.foreign.roformer import layers_of, shared, widths_of
from unbraid.zoo.foreign.sections import section, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS: Mapping[str, str] = {"num_bands": "bands", "mask_estimator_depth": "mask_layers"}
# Our estimates are always as long as the mixture.
_IGNORED = frozenset({"sample_rate", "match_input_audio_length"})
_DEFAULTS: Mapping[str, Any] = {"mask_layers": 1, "attention_dropout": 0.1, "dropout": 0.1}

# What bands are looked for at, the usual first.
_RATES = (44100, 48000, 32000, 24000, 22050, 16000, 8000)
_FRAMES = (2048, 4096, 1024, 8192, 512)


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration of the network that a file describes.

    Args:
        yaml: The whole file, parsed: sections model, audio, training, inference.

    Raises:
        ConfigError: If a key of the model is unknown, a necessary one missing, or the network one that we
            cannot make.

    >>> found = config_of({"model": {"dim": 64, "depth": 2}, "training": {"instruments": ["vocals"]}})
    >>> found["channels"], found["mask_layers"]
    (64, 1)
    """
    found = {**_DEFAULTS, **shared(yaml, _FIELDS, _IGNORED, "mel_band_roformer")}
    rate = whole_number(section(yaml, "model"), "sample_rate", 44100)
    if rate != found["sample_rate"]:
        raise ConfigError(
            f"model of mel_band_roformer: its bands are those of {rate} Hz, but its audio has "
            f"{found['sample_rate']} Hz; both must be equal"
        )
    return found


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Our configuration of the network whose weights have these shapes, as far as they tell.

    Rate, frame and channels are those of common ones whose mel bands are exactly so wide. No shape tells
    names, hops and segments, nor whether the mean is taken off or outputs skip layers: for these the defaults
    hold.

    Args:
        shapes: Of each weight, by name.

    Raises:
        ConfigError: If these are not the shapes of a Mel-Band RoFormer's weights.
    """
    try:
        found, widths = layers_of(shapes), widths_of(shapes)
    except (LookupError, ValueError) as error:
        raise ConfigError(f"these are not the weights of a Mel-Band RoFormer: {error!r}") from error
    for rate, n_fft, channels in itertools.product(_RATES, _FRAMES, (2, 1)):
        if _widths(rate, n_fft, len(widths), channels) == widths:
            place = {"sample_rate": rate, "n_fft": n_fft, "audio_channels": channels}
            return {**found, **place, "bands": len(widths)}
    raise ConfigError(
        f"these {len(widths)} bands are {widths[:8]} … numbers wide; no mel bands at a common rate are"
    )


def _widths(rate: int, n_fft: int, bands: int, channels: int) -> list[int]:
    """Numbers of each band; none if bands are too narrow for such frames."""
    try:
        edges = mel_band_edges(rate, n_fft, bands)
    except ConfigError:
        return []
    return [2 * channels * (end - start) for start, end in edges]
