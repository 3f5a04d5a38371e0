"""SCNet, of any kind, by its configuration file and by the shapes of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbraid.errors import ConfigError, WeightsError
from unbraid.zoo.foreign.sections import (
    known_section,
    listed,
    require,
    said_segment,
    section,
    sources_of,
    taken,
    unnamed,
    whole_number,
)
from unbraid.zoo.foreign.shapes import count, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHITECTURE = "scnet"

_MODEL = {
    "audio_channels": "audio_channels",
    "nfft": "n_fft",
    "hop_size": "hop_length",
    "compress": "compress",
    "conv_kernel": "kernel_size",
    "num_dplayer": "layers",
    "expand": "expand",
}
_BANDS = {"band_SR": "share", "band_stride": "stride", "band_kernel": "kernel_size", "conv_depths": "depth"}
_ATTENTION = {
    "tran_depth": "depth",
    "tran_heads": "heads",
    "tran_dim_head": "head_channels",
    "tran_attn_dropout": "attention_dropout",
    "tran_ff_dropout": "dropout",
}
_OTHERS = {"sources", "dims", "win_size", "normalized", "tran_rotary_embedding_dim", "tran_flash_attn"}

# The published class' own, where a file is silent.
_DEFAULTS = {
    "band_SR": (0.175, 0.392, 0.433),
    "band_stride": (1, 4, 16),
    "band_kernel": (3, 4, 16),
    "conv_depths": (3, 2, 1),
}
# The published shares of bands, by the width of the first level and the number of dual paths.
_SHARES: Mapping[tuple[int, int], tuple[float, ...]] = {
    (32, 6): (0.175, 0.392, 0.433),
    (64, 6): (0.225, 0.372, 0.403),
    (64, 8): (0.23, 0.37, 0.4),
}


def config_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of `networks.scnet` that a file describes.

    Files of the masked kind look like those of the others: whether it is one, `config_from_shapes` tells.

    Args:
        file: The parsed file: sections `audio`, `model`, `training` and `inference`.

    Returns:
        Fields of `Config`.

    Raises:
        ConfigError: If the section `model` has an unknown key, or the file asks for what the network does not
            do.
    """
    model = known_section(file, "model", {*_MODEL, *_BANDS, *_ATTENTION, *_OTHERS})
    require(model, {"normalized": True, "win_size": model.get("nfft", 4096)})
    audio = section(file, "audio")
    return {
        "sources": _sources(file, model),
        **taken(audio, {"sample_rate": "sample_rate"}),
        **said_segment(file),
        **taken(model, _MODEL),
        **_widths(model),
        "bands": _bands(model),
        "attention": _attention(model),
        "levelled": bool(section(file, "inference").get("normalize", False)),
    }


def _sources(file: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """Names of the sources; the section `model` must count as many as training has."""
    counted = listed(model, "sources")
    return sources_of(file, len(counted) or None) if "training" in file else counted


def _widths(model: Mapping[str, Any]) -> dict[str, Any]:
    """Channels of each level, behind those of the spectrum."""
    if "dims" not in model:
        return {}
    dims, parts = listed(model, "dims"), 2 * whole_number(model, "audio_channels", 2)
    if dims[:1] != [parts]:
        raise ConfigError(f"the file asks for dims {dims!s:.40}; they begin with a spectrum's {parts} parts")
    return {"widths": dims[1:]}


def _bands(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The bands, of which the file has each number in a list of its own."""
    lists = {ours: listed(model, key, _DEFAULTS[key]) for key, ours in _BANDS.items()}
    if len({len(entries) for entries in lists.values()}) > 1:
        raise ConfigError(f"the file's lists of bands are not of one length: {', '.join(_BANDS)}")
    return [dict(zip(lists, band, strict=True)) for band in zip(*lists.values(), strict=True)]


def _attention(model: Mapping[str, Any]) -> dict[str, Any] | None:
    """The transformers, if the file has any."""
    if not any(key.startswith("tran_") for key in model):
        return None
    require(model, {"tran_rotary_embedding_dim": model.get("tran_dim_head", 64)})
    return taken(model, _ATTENTION)


def config_from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the shapes of its weights tell of the configuration.

    Two channels are assumed, kernels as wide as their stride, or 3 where that is 1, and the shares of bands
    of the published network that is most alike; names of sources, hops and levels no shape tells. The length
    of STFT frames only the masked kind tells.

    Args:
        shapes: Of the published weights, or ours.

    Returns:
        Fields of `Config`.

    Raises:
        WeightsError: If they are not those of an SCNet.
    """
    levels = count(shapes, "encoder.")
    widths = [shape_of(shapes, f"encoder.{level}.globalconv.weight", 4)[0] for level in range(levels)]
    parts = shape_of(shapes, "encoder.0.SDlayer.convs.0.weight", 4)[1]
    estimated = shape_of(shapes, f"decoder.{levels - 1}.1.convtrs.0.weight", 4)[1]
    if parts != 4 or estimated % parts:
        raise WeightsError(f"weights of a stereo SCNet have 4 channels a source, not {parts} and {estimated}")
    layers = count(shapes, "separation_net.dp_modules.")
    hidden, _, kernel = shape_of(shapes, "encoder.0.conv_modules.0.layers.0.3.weight", 3)
    config = {
        "sources": unnamed(estimated // parts),
        "audio_channels": 2,
        "widths": widths,
        "bands": _bands_of(shapes, widths[0], layers),
        "compress": widths[0] // max(1, hidden),
        "kernel_size": kernel,
        "layers": layers,
        "masked": "pos_embed_f" in shapes,
        "attention": _attention_of(shapes),
    }
    if config["masked"]:
        config["n_fft"] = 2 * (shape_of(shapes, "pos_embed_f", 4)[2] - 1)
    first = shapes.get("separation_net.dp_modules.0.lstm_layers.0.weight_hh_l0")
    if first:
        config["expand"] = first[1] // widths[-1]
    return config


def _bands_of(shapes: Mapping[str, tuple[int, ...]], width: int, layers: int) -> list[dict[str, Any]]:
    """The bands, of which shapes tell all but the shares."""
    number = count(shapes, "encoder.0.SDlayer.convs.")
    shares = _SHARES.get((width, layers), ())
    if len(shares) != number:
        shares = (1 / number,) * number
    kernels = [shape_of(shapes, f"encoder.0.SDlayer.convs.{band}.weight", 4)[2] for band in range(number)]
    return [
        {
            "share": share,
            "stride": 1 if kernel % 2 else kernel,
            "kernel_size": kernel,
            "depth": count(shapes, f"encoder.0.conv_modules.{band}.layers."),
        }
        for band, (share, kernel) in enumerate(zip(shares, kernels, strict=True))
    ]


def _attention_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int] | None:
    """The transformers, if there are any."""
    stem = "separation_net.dp_modules.0.time_layer.layers"
    depth = count(shapes, f"{stem}.")
    if not depth:
        return None
    heads = shape_of(shapes, f"{stem}.0.0.to_gates.weight", 2)[0]
    inner = shape_of(shapes, f"{stem}.0.0.to_qkv.weight", 2)[0] // 3
    return {"depth": depth, "heads": heads, "head_channels": inner // max(1, heads)}
