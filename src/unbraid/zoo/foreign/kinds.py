"""Which network weights belong to that come without a word of it: by the names of their tensors.

A new network is a line in the table `KINDS`: what its weights are called, and the module that reads its
configuration file and its shapes. First come the networks whose names hold more than others'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from unbraid.errors import ConfigError, WeightsError
from unbraid.zoo.foreign import (
    apollo,
    bandit,
    bs_mamba2,
    bs_roformer,
    bsrnn,
    conformer,
    demucs,
    mdx23c,
    mel_band_roformer,
    scnet,
    segm,
    swin_upernet,
    torchseg,
    ts_bs_mamba2,
)
from unbraid.zoo.foreign.roformer import mask_layers_of
from unbraid.zoo.foreign.sections import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Shapes = Mapping[str, tuple[int, ...]]


class Reader(Protocol):
    """A module of this folder for one network."""

    def config_of(self, file: Mapping[str, Any], /) -> dict[str, Any]:
        """Fields of the network's configuration, from a configuration file."""

    def config_from_shapes(self, shapes: Shapes, /) -> dict[str, Any]:
        """Fields of the network's configuration, as far as its weights tell."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A network as the community publishes it.

    Args:
        architecture: Its name in `networks.ARCHITECTURES`.
        marks: Regular expressions; each is the beginning of some weight's name, by our names.
        reader: Reads its configuration file and its shapes.
        called: What Music-Source-Separation-Training calls it, as `--model_type`.
        by_shapes: Whether weights alone tell enough of it.
        settle: From a file's configuration and the shapes, to the former with what only shapes know.
        fits: Whether a file can be of this network, where names alone leave a doubt.
    """

    architecture: str
    marks: tuple[str, ...]
    reader: Reader
    called: frozenset[str]
    by_shapes: bool = True
    settle: Callable[[dict[str, Any], Shapes], dict[str, Any]] | None = None
    fits: Callable[[Mapping[str, Any]], bool] | None = None

    def is_of(self, names: Collection[str]) -> bool:
        """Whether weights of these names are of this network."""
        return all(any(re.match(mark, name) for name in names) for mark in self.marks)


def _masked_or_not(config: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """An SCNet's file does not say whether it is of the masked kind."""
    return {**config, "masked": "pos_embed_f" in shapes}


def _old_masks(config: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """The first Mel-Band RoFormers have a hidden layer fewer in their masks than the same words mean now."""
    older = whole_number(config, "mask_layers", 1) - 1
    return {**config, "mask_layers": older} if mask_layers_of(shapes) == older else config


def _is_torchseg(file: Mapping[str, Any]) -> bool:
    """Both have the same names; Segm writes a "tu-" before an encoder of timm's, TorchSeg does not."""
    model = file.get("model")
    encoder = model.get("encoder_name") if isinstance(model, dict) else None
    return isinstance(encoder, str) and not encoder.startswith("tu-")


def _is_segm(file: Mapping[str, Any]) -> bool:
    return not _is_torchseg(file)


_BANDS = r"band_split\.to_features\.0\."
_PICTURE = (r"first_conv\.", r"unet_model\.encoder\.")
KINDS: tuple[Kind, ...] = (
    Kind("bs_mamba2", (_BANDS, r"layers\.0\.0\.forward_blocks\."), bs_mamba2, frozenset({"bs_mamba2"})),
    Kind(
        "bs_roformer",
        (_BANDS, r"final_norm\.gamma", r"layers\.0\.0\.layers\.0\.0\.to_qkv\."),
        bs_roformer,
        frozenset({"bs_roformer", "bs_roformer_experimental"}),
    ),
    Kind(
        "mel_band_roformer",
        (_BANDS, r"layers\.0\.\d+\.norm\.gamma", r"layers\.0\.0\.layers\.0\.0\.to_qkv\."),
        mel_band_roformer,
        frozenset({"mel_band_roformer", "mel_band_roformer_experimental"}),
        settle=_old_masks,
    ),
    Kind(
        "ts_bs_mamba2", (r"BN_mask\.0\.", r"separator_mask\.0\."), ts_bs_mamba2, frozenset({"ts_bs_mamba2"})
    ),
    Kind("apollo", (r"BN\.0\.1\.", r"net\.0\.band_net\."), apollo, frozenset({"apollo"})),
    Kind(
        "scnet",
        (r"encoder\.0\.SDlayer\.convs\.0\.", r"separation_net\."),
        scnet,
        frozenset({"scnet", "scnet_masked", "scnet_tran"}),
        settle=_masked_or_not,
    ),
    Kind(
        "mdx23c",
        (r"first_conv\.weight", r"bottleneck_block\.blocks\.0\.tdf\."),
        mdx23c,
        frozenset({"mdx23c"}),
    ),
    Kind("conformer", (r"core\.input_proj_stft\.",), conformer, frozenset({"conformer"})),
    Kind(
        "bandit",
        (r"(model\.)?(bsrnn\.)?band_split\.norm_fc_modules\.0\.", r"(model\.)?(bsrnn\.)?mask_estim\."),
        bandit,
        frozenset({"bandit", "bandit_v2"}),
    ),
    Kind("bsrnn", (r"bandsplit\.fcs\.0\.", r"bandsequence\.bsrnn\."), bsrnn, frozenset()),
    Kind("swin_upernet", (r"swin_upernet_model\.",), swin_upernet, frozenset({"swin_upernet"})),
    Kind("segm", _PICTURE, segm, frozenset({"segm_models"}), fits=_is_segm),
    Kind("torchseg", _PICTURE, torchseg, frozenset({"torchseg"}), fits=_is_torchseg),
    Kind("htdemucs", (r"crosstransformer\.", r"tencoder\.0\."), demucs, frozenset({"htdemucs"})),
    Kind("hdemucs", (r"tencoder\.0\.", r"encoder\.0\."), demucs, frozenset({"htdemucs"}), by_shapes=False),
    Kind(
        "demucs",
        (r"encoder\.0\.0\.weight", r"decoder\.0\."),
        demucs,
        frozenset({"htdemucs"}),
        by_shapes=False,
    ),
)
# Known by their weights, and by nothing else here.
_STRANGERS = {
    r"layers\.0\.0\.layers\.0\.(conv|ff1)\.": "a RoFormer with conformers (bs_conformer, mel_band_conformer)",
    r"band_split_module\.|encoder\.0\.sd_module\.": "the unofficial SCNet (scnet_unofficial)",
    r".*lora_[AB]": "an adapter (LoRA); merge it with the network that it was trained on",
}


def kinds_of(names: Collection[str], file: Mapping[str, Any] | None) -> tuple[Kind, ...]:
    """The networks that weights can be of; several where only their fit will tell.

    Args:
        names: Of the weights.
        file: Their configuration file, if there is one.

    Raises:
        WeightsError: If there is none.
        ConfigError: If the file names another network.
    """
    found = [kind for kind in KINDS if kind.is_of(names)]
    if not found:
        strange = next(
            (what for mark, what in _STRANGERS.items() if any(re.match(mark, name) for name in names)), None
        )
        known = ", ".join(kind.architecture for kind in KINDS)
        raise WeightsError(
            f"they are those of {strange}, which is not among the networks here"
            if strange
            else f"their names are those of no network here; known are {known}"
        )
    if file is None:
        return tuple(found) if found[0].fits else (found[0],)
    declared, demucs_class = declared_of(file), file.get("model")
    if isinstance(demucs_class, str) and demucs_class != found[0].architecture:
        raise ConfigError(
            f"the file says {demucs_class}, but the weights are those of {found[0].architecture}"
        )
    if declared is not None and not any(declared in kind.called for kind in found):
        raise ConfigError(f"the file says {declared}, but the weights are those of {found[0].architecture}")
    return (next((kind for kind in found if kind.fits is None or kind.fits(file)), found[0]),)


def declared_of(file: Mapping[str, Any]) -> str | None:
    """The network that a file names, where it does, as `--model_type` there would."""
    for name in (None, "training", "model"):
        held = file if name is None else file.get(name)
        said = held.get("model_type") if isinstance(held, dict) else None
        if isinstance(said, str) and said:
            return said
    return None
