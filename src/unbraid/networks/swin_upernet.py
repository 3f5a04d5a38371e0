"""Swin UperNet: a transformer over shifted windows of a picture, on the spectrum of a song.

Source   github.com/ZFTurbo/Music-Source-Separation-Training, model swin_upernet; there is no paper. The
         encoder is that of Liu et al., "Swin transformer: hierarchical vision transformer using shifted
         windows", ICCV 2021, the decoder that of Xiao et al., "Unified perceptual parsing for scene
         understanding", ECCV 2018, both as the package transformers has them.
Weights  parameter names are those of the published checkpoints.
Differs  the auxiliary head, which the published checkpoints hold and only training uses, is left out.

What stands around the picture is `layers.picture`.

B batch · C channel · F bin · N frame
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from unbraid.networks.layers.picture import PictureNetwork, Sizes, library

if TYPE_CHECKING:
    from torch import Tensor

_PACKAGE = "transformers"
_PATCH = 4  # bins and frames that one token stands for
_STAGES = 4
_MOST_LAYERS, _MOST_SIZE = 64, 2048
_DROP_PATH = 0.1  # of whole layers, in training
_POOLS = [1, 2, 3, 6]  # rows and columns that the decoder sees the whole picture in


@dataclass(frozen=True, slots=True)
class Config(Sizes):
    """What a Swin UperNet is made from; the defaults are the published network for vocals.

    Args:
        embedding: Of a token in the first stage; twice as long in each further one. The fields that are not
            named here stand in `Sizes`.
        layers: Of each of four stages.
        heads: Of each stage.
        window: Tokens of a window's side.
        hidden_size: Channels of the decoder.
    """

    title: ClassVar[str] = "Swin UperNet"

    embedding: int = 192
    layers: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)
    window: int = 12
    hidden_size: int = 512

    def own_faults(self) -> list[str]:
        """Which rules between numbers are broken that only this network has."""
        faults = {
            f"layers and heads must be {_STAGES} numbers each, from 1 to {_MOST_LAYERS}": any(
                len(counts) != _STAGES or not all(1 <= count <= _MOST_LAYERS for count in counts)
                for counts in (self.layers, self.heads)
            ),
            f"embedding and hidden_size must be 1 to {_MOST_SIZE}": not 1 <= self.embedding <= _MOST_SIZE
            or not 1 <= self.hidden_size <= _MOST_SIZE,
            "each stage's heads must divide its embedding": any(
                (self.embedding << stage) % max(1, heads) for stage, heads in enumerate(self.heads)
            ),
            "window must be 1 to 64": not 1 <= self.window <= 64,
        }
        return [rule for rule, broken in faults.items() if broken]


class SwinUperNet(PictureNetwork):
    """Separates a mixture with a Swin transformer and a decoder for pictures.

    Args:
        config: Sizes and sources; None: those of the published network for vocals.

    Raises:
        MachineError: If transformers is not installed, or does not run.
    """

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        super().__init__(config)
        self.config = config
        package: Any = library(_PACKAGE, config.title)
        backbone = package.SwinConfig(
            image_size=224,  # of no effect: each stage pads what it is given
            patch_size=_PATCH,
            num_channels=config.channels,
            embed_dim=config.embedding,
            depths=list(config.layers),
            num_heads=list(config.heads),
            window_size=config.window,
            drop_path_rate=_DROP_PATH,
            out_features=[f"stage{stage}" for stage in range(1, _STAGES + 1)],
        )
        self.swin_upernet_model = package.UperNetForSemanticSegmentation(
            package.UperNetConfig(
                backbone_config=backbone,
                hidden_size=config.hidden_size,
                pool_scales=_POOLS,
                use_auxiliary_head=False,
                num_labels=config.channels,
            )
        )

    def picture(self, x: Tensor) -> Tensor:
        """From a picture `(B, C, N, F)` to one of the same shape."""
        y: Tensor = self.swin_upernet_model(x).logits
        return y
