"""VR networks: what UVR's tables and layouts say, and what the weights say by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError
from unbraid.zoo.foreign.sections import require_known

if TYPE_CHECKING:
    from collections.abc import Mapping

# What UVR calls the stem that a network looks for: our names of it and of the rest.
_STEMS: Mapping[str, tuple[str, str]] = {
    "Instrumental": ("accompaniment", "vocals"),
    "Vocals": ("vocals", "accompaniment"),
    "Other": ("other", "no_other"),
    "No Other": ("no_other", "other"),
    "Noise": ("noise", "no_noise"),
    "Reverb": ("reverb", "no_reverb"),
    "Echo": ("echo", "no_echo"),
    "Dry": ("no_reverb", "reverb"),
}
# Those whose masks are sharpened much; of any other name, and of what is none of them, little.
_BY_ITSELF = frozenset(
    {
        "Vocals",
        "Other",
        "Bass",
        "Drums",
        "Guitar",
        "Piano",
        "Synthesizer",
        "Strings",
        "Woodwinds",
        "Brass",
        "Wind Inst",
    }
)
_ENTRY = ("vr_model_param", "primary_stem", "nout", "nout_lstm")
_FLAGS = ("is_karaoke", "is_bv_model", "is_bv_model_rebalanced")
_LAYOUT = ("bins", "n_bins", "sr", "pre_filter_start", "pre_filter_stop", "band", "mid_side", "mid_side_b2")
# Of training, and flags that the published program never reads.
_LAYOUT_IDLE = ("unstable_bins", "reduction_bins", "stable_bins", "mid_side_b", "stereo_w", "stereo_n")
_BAND = ("sr", "hl", "n_fft", "crop_start", "crop_stop", "hpf_start", "hpf_stop", "lpf_start", "lpf_stop")
# By the bins of the picture: the layout that most networks with recurrence have.
_LAYOUTS: Mapping[int, str] = {
    640: "3band_44100_msb2",
    672: "4band_v3",
    768: "4band_44100",
    896: "4band_v4_ms_fullband",
    1024: "1band_sr44100_hl1024",
}


def config_of(yaml: Mapping[str, Any]) -> dict[str, Any]:
    """Our configuration from an entry of UVR's table of models, or of its model's own settings.

    How many channels a network of the first generation has stands in no entry; its weights tell.

    Args:
        yaml: The entry, as in `{"vr_model_param": "4band_v3", "primary_stem": "Echo", "nout": 48, …}`.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If a key is unknown, or one is missing that is needed.

    >>> config_of({"vr_model_param": "4band_44100", "primary_stem": "Vocals"})
    {'layout': '4band_44100', 'sources': ['vocals', 'accompaniment'], 'accompaniment': False}
    """
    require_known(yaml, (*_ENTRY, *_FLAGS), "UVR's entry of a VR network")
    missing = [key for key in _ENTRY[:2] if key not in yaml]
    if missing:
        raise ConfigError(f"UVR's entry of a VR network has no {' and no '.join(missing)}")
    stem = str(yaml["primary_stem"])
    config = {
        "layout": yaml["vr_model_param"],
        "sources": list(stems_of(stem, yaml)),
        "accompaniment": stem not in _BY_ITSELF,
    }
    if "nout" in yaml:
        config |= {"channels": yaml["nout"], "recurrence": yaml.get("nout_lstm", 128)}
    return config


def layout_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Our layout of bands from a file of UVR's `modelparams`, for the `own_layout` of a configuration.

    Args:
        parameters: What the JSON file holds.

    Returns:
        Fields of `dsp.multiband.Layout`.

    Raises:
        ConfigError: If a key is unknown.
    """
    require_known(parameters, (*_LAYOUT, *_LAYOUT_IDLE, "reverse"), "a layout of UVR")
    bands = [parameters["band"][key] for key in sorted(parameters["band"], key=int)]
    start, stop = (parameters.get(f"pre_filter_{end}", -1) for end in ("start", "stop"))
    codings = [name for name in ("mid_side", "mid_side_b2") if parameters.get(name)]
    return {
        "bins": parameters.get("n_bins", parameters.get("bins")),
        "pre_filter": [start, stop] if start > 0 else [],
        "coding": codings[0] if codings else "stereo",
        "reverse": parameters.get("reverse", False),
        "bands": [_band(band) for band in bands],
    }


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Our configuration as far as weights tell it.

    The layout of bands is a guess: of networks with recurrence, the usual one for as many bins as they have;
    of others `4band_44100`. What they look for stays untold.

    Args:
        shapes: Of the weights by name, as published, or behind `cascade.`.

    Returns:
        Fields of the network's `Config`.

    Raises:
        ConfigError: If they are no weights of a VR network.
    """
    shapes = {name.removeprefix("cascade."): shape for name, shape in shapes.items()}
    try:
        return _recurrent(shapes) if "stg1_low_band_net.1.conv.0.weight" in shapes else _first(shapes)
    except KeyError as error:
        raise ConfigError(f"these are no weights of a VR network: there is no {error.args[0]}") from error


def _recurrent(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    net = "stg3_full_band_net"
    gates, inputs = shapes[f"{net}.lstm_dec2.lstm.weight_ih_l0"]
    config = {"channels": shapes[f"{net}.enc1.conv.0.weight"][0], "recurrence": gates // 2}  # of 4 gates each
    return config | ({"layout": _LAYOUTS[2 * inputs]} if 2 * inputs in _LAYOUTS else {})


def _first(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    net = "stg1_low_band_net"
    channels = shapes[f"{net}.enc1.conv1.conv.0.weight"][0]
    views = (
        shapes[f"{net}.aspp.bottleneck.0.conv.0.weight"][1] // shapes[f"{net}.aspp.conv2.conv.0.weight"][0]
    )
    levels = sum(re.fullmatch(rf"{net}\.enc\d+\.conv1\.conv\.0\.weight", name) is not None for name in shapes)
    return {"channels": channels, "levels": levels, "views": views, "layout": "4band_44100"}


def stems_of(stem: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Our names of what UVR calls a primary stem, and of the rest.

    Args:
        stem: As UVR calls it.
        entry: Of its table; some flags mean a stem of their own.

    >>> stems_of("Instrumental", {}), stems_of("Bass", {})
    (('accompaniment', 'vocals'), ('bass', 'no_bass'))
    """
    if entry.get("is_bv_model"):
        return "backing_vocals", "no_backing_vocals"
    if entry.get("is_karaoke"):
        return (
            ("accompaniment", "lead_vocals") if stem == "Instrumental" else ("lead_vocals", "accompaniment")
        )
    name = stem.lower().replace(" ", "_")
    return _STEMS.get(stem, (name, name.removeprefix("no_") if name.startswith("no_") else f"no_{name}"))


def _band(band: Mapping[str, Any]) -> dict[str, Any]:
    require_known(band, (*_BAND, "res_type", "convert_channels"), "a band of UVR")
    found: dict[str, Any] = {
        "sample_rate": band["sr"],
        "hop_length": band["hl"],
        "n_fft": band["n_fft"],
        "crop": [band["crop_start"], band["crop_stop"]],
        "coding": band.get("convert_channels", "stereo"),
    }
    for ours, theirs in (("high_pass", "hpf"), ("low_pass", "lpf")):
        if band.get(f"{theirs}_start", -1) > 0:
            found[ours] = [band[f"{theirs}_start"], band[f"{theirs}_stop"]]
    return found
