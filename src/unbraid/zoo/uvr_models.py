"""What is known of a UVR model's file by the hash of its end, and what is guessed of another.

Its MDX-Nets stand in `uvr_models.toml`, its VR networks in `uvr_vr_models.toml`.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import sys
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from unbraid.config import structure, unstructure

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

_TAIL = 10_000 * 1024  # bytes that the community's hash is over
_LOW_CUT = 3  # lowest bins, which UVR silences for each of its models
_Model = TypeVar("_Model")
_N_FFT = (4096, 5120, 6144, 7680, 8192, 16384)  # all that its models have


@dataclass(frozen=True, slots=True)
class UvrModel:
    """What a model's file does not say of itself.

    Args:
        n_fft: Samples of an STFT frame.
        compensate: Gain at which its estimate is taken from the mixture.
        sources: What it estimates, then the rest.
    """

    n_fft: int
    compensate: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UvrVrModel:
    """What the file of a VR network does not say of itself.

    Args:
        layout: Name of its layout of bands.
        sources: What it looks for, then the rest.
        accompaniment: Whether its masks are sharpened little, as in the network's configuration.
    """

    layout: str
    sources: tuple[str, ...]
    accompaniment: bool = True


def configuration(path: Path, target: dict[str, Any]) -> dict[str, Any]:
    """An MDX-Net's configuration, as UVR uses the file.

    Args:
        path: The file.
        target: What the file says of its one target; and of `audio_channels`, if anything.

    Returns:
        Fields of the network's `Config`. Of a file that is not known, frames are as short as its bins allow,
        and what it estimates is called "primary"; a warning says so.
    """
    model = known_model(path)
    if model is None:
        n_fft = next((length for length in _N_FFT if length // 2 >= target["bins"]), 2 * target["bins"])
        model = UvrModel(n_fft, 1.0, ("primary", "secondary"))
        logger.warning(
            "%s is no model that is known, and does not say how its spectra are made: frames of %d samples "
            "are assumed; where that is wrong, its stems are noise",
            path.name,
            n_fft,
        )
    return configuration_as(model, target)


def configuration_as(model: UvrModel, target: dict[str, Any]) -> dict[str, Any]:
    """An MDX-Net's configuration, as UVR uses a model that is known.

    Args:
        model: What its file does not say.
        target: What the file says, as for `configuration`.
    """
    own = {name: value for name, value in target.items() if name != "audio_channels"}
    return {
        "sources": list(model.sources),
        "targets": [{**own, "n_fft": model.n_fft}],
        "audio_channels": target.get("audio_channels", 2),
        "rest": True,
        "compensate": model.compensate,
        "low_cut": _LOW_CUT,
    }


def vr_configuration(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """A VR network's configuration, as UVR uses the file.

    Args:
        path: The file.
        told: What its weights say of it, with a layout of bands that is a guess, if any.

    Returns:
        Fields of the network's `Config`. Of a file that is not known, the layout stays the guess, and what it
        looks for is called "primary"; a warning says so.
    """
    model = _vr_models().get(tail_md5(path))
    if model is not None:
        return {**told, **unstructure(model), "sources": list(model.sources)}
    logger.warning(
        "%s is no VR network that is known, and does not say how its bands are laid out: %s is assumed; "
        "where that is wrong, its stems are noise",
        path.name,
        told.get("layout", "4band_44100"),
    )
    return {**told, "sources": ["primary", "secondary"]}


def known_model(path: Path) -> UvrModel | None:
    """What is known of the model in a file; None if nothing is.

    The hash tells which file it is, as its name would; it does not vouch for it.
    """
    return _models().get(tail_md5(path))


def tail_md5(path: Path) -> str:
    """The MD5 of a file's last 10,240,000 bytes, or of all of it, by which UVR knows its models."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _TAIL))
        digest.update(handle.read(_TAIL))
    return digest.hexdigest()


@functools.cache
def _models() -> Mapping[str, UvrModel]:
    return _table("uvr_models.toml", UvrModel)


@functools.cache
def _vr_models() -> Mapping[str, UvrVrModel]:
    return _table("uvr_vr_models.toml", UvrVrModel)


def _table(name: str, kind: type[_Model]) -> dict[str, _Model]:
    text = (resources.files("unbraid.zoo") / name).read_text(encoding="utf-8")
    return {
        md5: structure(table, kind, where=f"UVR model {md5}") for md5, table in tomllib.loads(text).items()
    }
