"""Networks with the attributes that demucs gives to its own, alone and in a bag."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import nn

from unbraid.errors import UsageError
from unbraid.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Seconds = float | Fraction


class BagOfModels(nn.Module):
    """Models whose estimates are averaged, each source with weights of its own.

    Args:
        models: At least one, with the same sources, rate and channels.
        weights: For each model, how much it counts for each source; None: all alike.
        segment: Seconds given to each model at once; one that takes no more than it was trained on keeps
            its own where that is shorter. None: each as it is.

    Raises:
        UsageError: If the models do not go together, or nobody counts for a source.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        weights: Sequence[Sequence[float]] | None = None,
        segment: Seconds | None = None,
    ) -> None:
        super().__init__()
        specs = [spec_of(model) for model in models]
        if len({(spec.sources, spec.sample_rate, spec.channels) for spec in specs}) != 1:
            raise UsageError("a bag holds at least one model, all with the same sources, rate and channels")
        self.sources = list(specs[0].sources)
        self.samplerate, self.audio_channels = specs[0].sample_rate, specs[0].channels
        rows = [[1.0] * len(self.sources) for _ in models] if weights is None else weights
        self.weights = [list(row) for row in rows]
        self._require_weights(len(models))
        self.models = nn.ModuleList(models)
        for model, spec in zip(models, specs, strict=True):
            if segment is not None and (not spec.fixed or segment <= segment_of(model)):
                vars(model)["segment"] = segment
        self.segment = min(segment_of(model) for model in models)

    @property
    def max_allowed_segment(self) -> float:
        """Seconds that each of the models takes at once."""
        fixed = (model for model in self.models if spec_of(model).fixed)
        return min((float(segment_of(model)) for model in fixed), default=float("inf"))

    def shares(self) -> Tensor:
        """How much of each source comes from each model, `(models, sources)`; those of a source sum to 1."""
        weights = torch.tensor(self.weights)
        return weights / weights.sum(0)

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of one segment, `(B, C, T)` → `(B, S, C, T)`; `apply_model` takes whole recordings."""
        shares = self.shares().to(mixture)[..., None, None]
        estimates = [model(mixture) * share for model, share in zip(self.models, shares, strict=True)]
        return torch.stack(estimates).sum(0)

    def _require_weights(self, models: int) -> None:
        """A weight of each model for each source, and somebody for each."""
        sizes = [len(row) for row in self.weights]
        if sizes != [len(self.sources)] * models:
            raise UsageError(
                f"a bag of {models} models with {len(self.sources)} sources was given weights for {sizes}; "
                "each model needs one for each source"
            )
        for source, column in zip(self.sources, zip(*self.weights, strict=True), strict=True):
            if min(column) < 0 or not sum(column) > 0:
                raise UsageError(
                    f"a bag has the weights {column} for {source}; none may be negative, nor all 0"
                )


def named(network: nn.Module) -> nn.Module:
    """The same network, which now answers to the names of demucs, too.

    Args:
        network: Of this library; it gets `sources`, `samplerate` (Hz), `audio_channels` and `segment` (s).

    >>> from unbraid.networks.base import build
    >>> tiny = named(build("htdemucs", {"channels": 8, "bottom_channels": 16, "t_heads": 2}))
    >>> tiny.samplerate, float(tiny.segment)
    (44100, 7.8)
    """
    spec = spec_of(network)
    # nn.Module's own way of setting attributes takes any value; its annotation knows tensors only.
    vars(network).update(
        sources=list(spec.sources),
        samplerate=spec.sample_rate,
        audio_channels=spec.channels,
        segment=segment_of(network),
    )
    return network


def spec_of(model: nn.Module) -> ModelSpec:
    """What a model says of itself.

    Raises:
        UsageError: If it is no network of this library.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise UsageError(f"a {kind} has no `spec: ModelSpec`; what get_model gives has one")
    return spec


def segment_of(model: nn.Module) -> Seconds:
    """Seconds given to a model at once: as its `segment` says, or what it was trained on."""
    own: Seconds | None = vars(model).get("segment")
    spec = spec_of(model)
    return Fraction(spec.segment - 2 * spec.context, spec.sample_rate) if own is None else own
