"""Stand-ins for the packages that bring networks for pictures, and the slow way around a picture.

The real ones are heavy, and one of them needs a torchvision built for the same torch. What is tested is what
stands around them; a stand-in has their names, takes what they take, and is a small network for pictures.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import numpy as np
from torch import nn
from torch.nn import functional as F

KINDS = ("Unet", "UnetPlusPlus", "FPN", "MAnet", "Linknet", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus")


class Picture(nn.Module):
    """A picture of the same size from one that is four times smaller, and remembers what it was made with."""

    def __init__(self, inputs, outputs, **made_with):
        super().__init__()
        self.made_with = made_with
        self.down = nn.Conv2d(inputs, 6, 4, 4)
        self.up = nn.Conv2d(6, outputs, 1)

    def forward(self, x):
        return F.interpolate(self.up(F.gelu(self.down(x))), scale_factor=4, mode="bilinear")


def _segmentation(kind):
    def make(*, encoder_name, encoder_weights, in_channels, classes):
        return Picture(in_channels, classes, kind=kind, encoder=encoder_name, weights=encoder_weights)

    return make


class _UperNet(Picture):
    def __init__(self, config):
        inputs = config.backbone_config.num_channels
        super().__init__(inputs, config.num_labels, config=config)

    def forward(self, x):
        return SimpleNamespace(logits=super().forward(x))


def stand_ins():
    """The packages by name."""
    segmentation, transformers = ModuleType("segmentation_models_pytorch"), ModuleType("transformers")
    for kind in (
        "Unet",
        "UnetPlusPlus",
        "FPN",
        "MAnet",
        "Linknet",
        "PSPNet",
        "PAN",
        "DeepLabV3",
        "DeepLabV3Plus",
    ):
        setattr(segmentation, kind, _segmentation(kind))
    transformers.SwinConfig = transformers.UperNetConfig = SimpleNamespace
    transformers.UperNetForSemanticSegmentation = _UperNet
    return {module.__name__: module for module in (segmentation, transformers)}


def slow_features(spectrum, bands):
    """A folded picture `(2CK, F / K, N)` of a spectrum `(C, F, N)`, bin by bin."""
    channels, bins, frames = spectrum.shape
    height = bins // bands
    picture = np.zeros((2 * channels * bands, height, frames))
    for channel in range(channels):
        for place in range(bins):
            band, row = divmod(place, height)
            picture[(2 * channel) * bands + band, row] = spectrum[channel, place].real
            picture[(2 * channel + 1) * bands + band, row] = spectrum[channel, place].imag
    return picture
