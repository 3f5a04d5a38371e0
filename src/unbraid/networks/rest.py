"""WithRest: a network of one source, and what it leaves of the mixture as a second one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from unbraid.spec import ModelSpec
    from unbraid.split import Inner, Split


class WithRest(nn.Module):
    """A split network whose last source is the mixture less its others.

    Args:
        network: What it is put around; one that is split in `inner` and `around`.
        name: Of the rest.

    Raises:
        ConfigError: If a source has this name already.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network = network
        self.config: object = network.config
        spec = cast("ModelSpec", network.spec)
        self.spec = dataclasses.replace(spec, sources=(*spec.sources, name))

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates `(B, S, C, T)` of a mixture `(B, C, T)`; the last is the rest."""
        return self.around(self.inner, mixture)

    def around(self, inner: Inner, mixture: Tensor) -> Tensor:
        """What stands before and after the layers of the network.

        Args:
            inner: `self.inner`, or what computes the same.
            mixture: As for `forward`.
        """
        estimates = cast("Split", self.network).around(inner, mixture)
        return torch.cat([estimates, (mixture - estimates.sum(1))[:, None]], dim=1)

    def inner(self, *features: Tensor, **choice: int) -> tuple[Tensor, ...]:
        """The layers of the network."""
        return cast("Split", self.network).inner(*features, **choice)
