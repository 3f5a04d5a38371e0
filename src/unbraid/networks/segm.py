"""Segm: a network that finds things in photographs, on the spectrum of a song.

Source   github.com/ZFTurbo/Music-Source-Separation-Training, model segm_models; there is no paper. Encoders
         and decoders are those of the package segmentation-models-pytorch, and of timm through it.
Weights  parameter names are those of the published checkpoints.

What stands around the picture is `layers.picture`.

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, cast

from unbraid.networks.layers.picture import PictureNetwork, Sizes, library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

_PACKAGE = "segmentation_models_pytorch"


class Decoder(str, Enum):
    """What makes a picture of what an encoder saw."""

    UNET = "unet"
    UNET_PLUS_PLUS = "unet++"
    FPN = "fpn"
    MANET = "manet"
    LINKNET = "linknet"
    PSPNET = "pspnet"
    PAN = "pan"
    DEEPLABV3 = "deeplabv3"
    DEEPLABV3_PLUS = "deeplabv3plus"


# The package's classes.
_CLASSES: Mapping[Decoder, str] = {
    Decoder.UNET: "Unet",
    Decoder.UNET_PLUS_PLUS: "UnetPlusPlus",
    Decoder.FPN: "FPN",
    Decoder.MANET: "MAnet",
    Decoder.LINKNET: "Linknet",
    Decoder.PSPNET: "PSPNet",
    Decoder.PAN: "PAN",
    Decoder.DEEPLABV3: "DeepLabV3",
    Decoder.DEEPLABV3_PLUS: "DeepLabV3Plus",
}


@dataclass(frozen=True, slots=True)
class Config(Sizes):
    """What a Segm is made from; the defaults are the published network for vocals.

    Args:
        channels: As in `Sizes`, where the other fields stand, too.
        encoder: Its name in the package; one of timm's begins with "tu-".
        decoder: Which.
    """

    title: ClassVar[str] = "Segm"

    channels: int = 128
    encoder: str = "tu-maxvit_large_tf_512"
    decoder: Decoder = Decoder.UNET


class Segm(PictureNetwork):
    """Separates a mixture with an encoder and a decoder for pictures.

    Args:
        config: Sizes and sources; None: those of the published network for vocals.

    Raises:
        MachineError: If segmentation-models-pytorch is not installed, or does not run.
    """

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        super().__init__(config)
        self.config = config
        self.unet_model = segmentation_network(
            config.encoder, config.decoder, config.channels, title=config.title
        )

    def picture(self, x: Tensor) -> Tensor:
        """From a picture `(B, C, N, F)` to one of the same shape."""
        y: Tensor = self.unet_model(x)
        return y


def segmentation_network(encoder: str, decoder: Decoder, channels: int, *, title: str) -> nn.Module:
    """An encoder with a decoder, without weights that others trained.

    Args:
        encoder: Its name in the package.
        decoder: Which.
        channels: Of both pictures.
        title: Of the network that needs it, for an error's sentence.

    Raises:
        MachineError: If the package is not installed, or does not run.
    """
    package: Any = library(_PACKAGE, title)
    made = getattr(package, _CLASSES[decoder])(
        encoder_name=encoder, encoder_weights=None, in_channels=channels, classes=channels
    )
    return cast("nn.Module", made)
