"""What every network is, and how one is made from its architecture's name and a configuration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch

from unbraid.config import structure
from unbraid.errors import ConfigError, UnknownModelError, did_you_mean
from unbraid.networks import ARCHITECTURES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unbraid.spec import ModelSpec


class Network(Protocol):
    """An `nn.Module` that separates, and says of itself what the engine must know."""

    @property
    def config(self) -> object:
        """The frozen dataclass it was made from."""

    @property
    def spec(self) -> ModelSpec:
        """Its sources, rate, channels and accepted lengths."""

    def __call__(self, mixture: Tensor, /) -> Tensor:
        """From mixtures `(B, C, T)` to estimates `(B, S, C, T)`."""


def build(
    architecture: str, config: Mapping[str, object] | object | None = None, *, seed: int = 0
) -> nn.Module:
    """A new, untrained network in training mode.

    Equal arguments make equal weights, and torch's global generator is left as it was. Within
    `torch.device("meta")` no weights are made at all, which is how parameters are counted and how
    checkpoints are loaded without making weights twice.

    Args:
        architecture: A name in `ARCHITECTURES`.
        config: The architecture's `Config`, or a mapping to be made into one; None: its defaults.
        seed: Of the first weights.

    Returns:
        A `Network`.

    Raises:
        UnknownModelError: If no architecture has this name.
        ConfigError: If the configuration has unknown keys, values of the wrong kind, or belongs to
            another architecture.

    >>> network = build("htdemucs", {"channels": 8, "bottom_channels": 16, "t_heads": 2})
    >>> network.spec.sources
    ('drums', 'bass', 'other', 'vocals')
    """
    if architecture not in ARCHITECTURES:
        raise UnknownModelError(
            f"no architecture is named {architecture!r}"
            f"{did_you_mean(architecture, ARCHITECTURES) or '; there are ' + ', '.join(ARCHITECTURES)}"
        )
    path, name = ARCHITECTURES[architecture].split(":")
    module = importlib.import_module(path)
    config = _configuration({} if config is None else config, module.Config, architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = getattr(module, name)(config)
    return network


def _configuration(config: object, kind: type, architecture: str) -> object:
    """The architecture's own dataclass from a mapping or from itself."""
    if isinstance(config, Mapping):
        return structure(config, kind, where=f"configuration of {architecture}")
    if not isinstance(config, kind):
        raise ConfigError(
            f"{architecture} was given a {type(config).__module__}.{type(config).__qualname__}; it takes a "
            f"mapping or its own {kind.__module__}.{kind.__qualname__}"
        )
    return config


def parameter_count(network: nn.Module) -> int:
    """How many numbers training can change."""
    return sum(parameter.numel() for parameter in network.parameters())
