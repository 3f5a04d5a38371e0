"""A spectrum as a few bands of bins, each with features of its own, and a mask for each back from these.

B batch · C channel · F bin · N frame · K band · W width: real and imaginary parts of all channels
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from unbraid.networks.layers.norm import RMSNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# The 62 bands of Lu et al. 2023, table 1, at 2048 samples a frame: from 43 Hz wide at the bottom to 2.8 kHz.
ROPE_BANDS = (2,) * 24 + (4,) * 12 + (12,) * 8 + (24,) * 8 + (48,) * 8 + (128, 129)


def neighbours(widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First bin, and the one behind the last, of bands that stand side by side from bin 0.

    >>> neighbours([2, 3, 4])
    ((0, 2), (2, 5), (5, 9))
    """
    return tuple(itertools.pairwise(itertools.accumulate(widths, initial=0)))


class BandSplit(nn.Module):
    """Bands become tokens of one size, each through a norm and a linear layer of its own.

    Args:
        bands: First bin, and the one behind the last, of each; they may overlap.
        width: Numbers of a bin.
        channels: Of a token.

    Source: Luo and Yu, "Music source separation with band-split RNN", 2023, section III.A; the norm is that
    of Lu et al., "Music source separation with band-split RoPE transformer", 2023 (published code).
    """

    def __init__(self, bands: Sequence[tuple[int, int]], width: int, channels: int) -> None:
        super().__init__()
        self.bands = tuple(bands)
        sizes = [(end - start) * width for start, end in self.bands]
        self.to_features = nn.ModuleList(
            nn.Sequential(RMSNorm(size), nn.Linear(size, channels)) for size in sizes
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features `(B, N, F, W)` as tokens `(B, N, K, channels)`."""
        tokens = [
            layer(features[:, :, start:end].flatten(2))
            for (start, end), layer in zip(self.bands, self.to_features, strict=True)
        ]
        return torch.stack(tokens, dim=2)


class MaskEstimator(nn.Module):
    """From each band's token to the mask of its bins, through layers of its own.

    Args:
        bands: First bin, and the one behind the last, of each.
        width: Numbers of a bin.
        channels: Of a token.
        hidden_layers: Between token and mask.
        hidden_channels: Of these.

    Source: Luo and Yu, 2023, section III.C.
    """

    def __init__(
        self,
        bands: Sequence[tuple[int, int]],
        width: int,
        channels: int,
        *,
        hidden_layers: int,
        hidden_channels: int,
    ) -> None:
        super().__init__()
        self.width = width
        inner = [channels] + [hidden_channels] * hidden_layers
        self.to_freqs = nn.ModuleList(
            nn.Sequential(_mlp([*inner, 2 * (end - start) * width]), nn.GLU(dim=-1)) for start, end in bands
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, N, K, channels)` as masks `(B, N, ΣF, W)` of all bins, one band after the other."""
        masks = [layer(token) for layer, token in zip(self.to_freqs, tokens.unbind(2), strict=True)]
        return torch.cat(masks, dim=-1).view(*tokens.shape[:2], -1, self.width)


class BandMean(nn.Module):
    """A mask from those of overlapping bands: a bin in two bands gets the mean of both.

    Args:
        bands: First bin, and the one behind the last, of each; every bin is in one band or in two.
    """

    def __init__(self, bands: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        places: dict[int, list[int]] = {}
        for place, bin_ in enumerate(itertools.chain.from_iterable(range(*band) for band in bands)):
            places.setdefault(bin_, []).append(place)
        # Plain numbers, not buffers: what is not stored with the weights has to come from the configuration.
        self.lower = [places[bin_][0] for bin_ in sorted(places)]
        self.upper = [places[bin_][-1] for bin_ in sorted(places)]

    def forward(self, masks: Tensor) -> Tensor:
        """Masks of all bands' bins, one band after the other `(B, N, ΣF, W)`, as one mask `(B, N, F, W)`."""
        lower, upper = (
            masks.index_select(2, torch.tensor(places, device=masks.device))
            for places in (self.lower, self.upper)
        )
        return 0.5 * (lower + upper)


def _mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with a hyperbolic tangent between each two."""
    layers: list[nn.Module] = []
    for source, target in itertools.pairwise(widths):
        layers += [nn.Linear(source, target), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def parts_of(spectrum: Tensor) -> Tensor:
    """A complex spectrum `(B, C, F, N)` as real numbers `(B, N, F, W)`: of each channel real, imaginary."""
    return torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4).flatten(3)


def masked(spectrum: Tensor, mask: Tensor, *, zero_dc: bool) -> Tensor:
    """A spectrum times a complex mask.

    Args:
        spectrum: Complex, `(B, C, F, N)`.
        mask: As `parts_of` has it, `(B, N, F, W)`.
        zero_dc: Whether bin 0 becomes silent.

    Returns:
        Complex, `(B, C, F, N)`.
    """
    parts = mask.to(spectrum.real.dtype).reshape(*mask.shape[:-1], -1, 2)  # (B, N, F, C, 2)
    product = spectrum * torch.view_as_complex(parts).permute(0, 3, 2, 1)
    return F.pad(product[:, :, 1:], (0, 0, 1, 0)) if zero_dc else product
