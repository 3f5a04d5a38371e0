"""Apollo by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.zoo.foreign.sections import RATE, known_section, said_segment, section, taken, whole_number
from unbraid.zoo.foreign.shapes import count, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHITECTURE = "apollo"

_MODEL = {"sr": "sample_rate", "feature_dim": "channels", "layer": "layers"}


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.apollo` that a file describes.

    What comes out is called "restored", whatever the file calls it: it is no instrument.

    Args:
        file: The parsed file: sections `audio` and `model`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` has an unknown key, or its numbers make no frame.
    """
    model = known_section(file, "model", {*_MODEL, "win"})
    audio = section(file, "audio")
    config = {
        **taken(audio, {"num_channels": "audio_channels"}),
        **said_segment(file),
        **taken(model, _MODEL),
    }
    rate, milliseconds = whole_number(model, "sr", RATE), whole_number(model, "win", 20)
    return {**config, "n_fft": rate * milliseconds // 1000}


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration; the sample rate they don't.

    An odd number of samples a frame could have as many bins as the even one that is taken here.

    Args:
        shapes: Of the published weights.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of an Apollo.
    """
    bands = count(shapes, "BN.")
    features = [shape_of(shapes, f"BN.{band}.1.weight", 3) for band in range(bands)]
    bins = sum((size - 1) // 2 for _, size, _ in features)
    return {
        "n_fft": 2 * (bins - 1),
        "channels": shape_of(shapes, "BN.0.1.weight", 3)[0],
        "layers": count(shapes, "net."),
    }
