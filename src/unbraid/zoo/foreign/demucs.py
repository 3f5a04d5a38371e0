"""Demucs of the second half of its life, as Music-Source-Separation-Training describes it, and by shapes.

There a file's `model` is a word, `demucs`, `hdemucs` or `htdemucs`, and the section of that name holds the
arguments of the class; the rest stands in `training`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, WeightsError, did_you_mean
from unbraid.zoo.foreign.sections import (
    RATE,
    instruments_of,
    known_section,
    require,
    section,
    spelt,
    unnamed,
    whole_number,
)
from unbraid.zoo.foreign.shapes import count, shape_of
from unbraid.zoo.keymaps import demucs_v3, hdemucs_package, htdemucs_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbraid.zoo.keymaps.arguments import Arguments

# By what a file calls them, which is what we do.
CLASSES: Mapping[str, Arguments] = {
    known.architecture: known
    for known in (demucs_v3.ARGUMENTS, hdemucs_package.ARGUMENTS, htdemucs_package.ARGUMENTS)
}
# What every segment is padded to there; so whether the network does it, too, makes no difference.
_IDLE = frozenset({"use_train_segment"})
# What that program has added, and what it must be.
_EMBODIED = {"num_subbands": 1}


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration of the network that a file describes.

    Args:
        yaml: The whole file, parsed: `model`, the section that it names, and `training`.

    Raises:
        ConfigError: If a key is unknown, or the network one that we cannot make.
    """
    name = yaml.get("model")
    if not isinstance(name, str) or name not in CLASSES:
        raise ConfigError(
            f"the file's model is {name!r:.40}; a Demucs there is one of {', '.join(CLASSES)}"
            f"{did_you_mean(str(name), CLASSES)}"
        )
    arguments, training = CLASSES[name], section(yaml, "training")
    known = {*arguments.fields, *arguments.fixed, *arguments.idle, *_IDLE, *_EMBODIED}
    given = known_section(yaml, name, known)
    require(given, _EMBODIED)
    said = {key: value for key, value in given.items() if key not in {*_IDLE, *_EMBODIED}}
    try:
        ours = arguments.configuration(
            (),
            {
                **said,
                "sources": [spelt(source) for source in instruments_of(yaml)],
                "audio_channels": whole_number(training, "channels", 2),
                "samplerate": whole_number(training, "samplerate", RATE),
                "segment": _seconds(training.get("segment", 11)),
            },
        )
    except WeightsError as error:
        raise ConfigError(str(error)) from error
    # Each argument may be left empty where it is None by default.
    return {key: value for key, value in ours.items() if value is not None}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of a HT Demucs' weights tell of its configuration.

    Eight heads are assumed. Names of sources, the sample rate and the segment no shape tells.

    Args:
        shapes: Of the published weights.

    Raises:
        WeightsError: If they are not those of a HT Demucs.
    """
    channels, parts, kernel, _ = shape_of(shapes, "encoder.0.conv.weight", 4)
    depth = count(shapes, "encoder.")
    _, estimated, *_ = shape_of(shapes, f"decoder.{depth - 1}.conv_tr.weight", 4)
    rows, _ = shape_of(shapes, "freq_emb.embedding.weight", 2)
    wide, inner = shape_of(shapes, "crosstransformer.layers.0.linear1.weight", 2)
    squeezed, _, _ = shape_of(shapes, "encoder.0.dconv.layers.0.0.weight", 3)
    stride = kernel // 2
    found = {
        "sources": unnamed(estimated // max(1, parts)),
        "audio_channels": parts // 2,
        "n_fft": 2 * stride * rows,
        "channels": channels,
        "depth": depth,
        "kernel_size": kernel,
        "stride": stride,
        "dconv_depth": count(shapes, "encoder.0.dconv.layers."),
        "dconv_comp": channels // max(1, squeezed),
        "bottom_channels": inner if "channel_upsampler.weight" in shapes else 0,
        "t_layers": count(shapes, "crosstransformer.layers."),
        "t_hidden_scale": wide / max(1, inner),
    }
    if depth > 1:
        found["growth"] = shape_of(shapes, "encoder.1.conv.weight", 4)[0] // channels
    return found


def _seconds(value: object) -> Fraction:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 10_000:
        raise ConfigError(f"training.segment must be a number of seconds, not {value!r:.40}")
    return Fraction(value).limit_denominator(1_000_000)
