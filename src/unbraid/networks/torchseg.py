"""TorchSeg: Segm with any encoder of timm.

Source   github.com/ZFTurbo/Music-Source-Separation-Training, model torchseg; there is no paper.
Weights  parameter names are those of the published checkpoints.
Differs  the package torchseg is no longer kept; segmentation-models-pytorch has the same decoders around the
         same encoders of timm, under the same names, and is used in its place.

What stands around the picture is `layers.picture`.

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unbraid.networks.layers.picture import PictureNetwork, Sizes
from unbraid.networks.segm import Decoder, segmentation_network

if TYPE_CHECKING:
    from torch import Tensor

_TIMM = "tu-"  # what the package calls an encoder of timm by


@dataclass(frozen=True, slots=True)
class Config(Sizes):
    """What a TorchSeg is made from; the defaults are the published configuration.

    Args:
        encoder: Its name in timm. The other fields stand in `Sizes`.
        decoder: Which.
    """

    title: ClassVar[str] = "TorchSeg"

    encoder: str = "maxvit_tiny_tf_512"
    decoder: Decoder = Decoder.UNET


class TorchSeg(PictureNetwork):
    """Separates a mixture with an encoder of timm and a decoder for pictures.

    Args:
        config: Sizes and sources; None: those of the published configuration.

    Raises:
        MachineError: If segmentation-models-pytorch is not installed, or does not run.
    """

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        super().__init__(config)
        self.config = config
        self.unet_model = segmentation_network(
            _TIMM + config.encoder, config.decoder, config.channels, title=config.title
        )

    def picture(self, x: Tensor) -> Tensor:
        """From a picture `(B, C, N, F)` to one of the same shape."""
        y: Tensor = self.unet_model(x)
        return y
