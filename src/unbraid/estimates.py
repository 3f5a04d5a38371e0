"""Estimates: the separated sources of one mixture, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from unbraid.audio import Audio
from unbraid.errors import ShapeError, UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


class Estimates(Mapping[str, Audio]):
    """The separated sources of one mixture, by name: `estimates["vocals"]`.

    Args:
        samples: `(sources, channels, time)`, full scale ±1.
        sources: A name for each source, all different.
        sample_rate: In Hz.

    Raises:
        ShapeError: If names and samples do not match.

    >>> import torch
    >>> estimates = Estimates(torch.zeros(2, 2, 8), ("vocals", "drums"), 44100)
    >>> estimates["drums"].length
    8
    """

    __slots__ = ("sample_rate", "samples", "sources")

    def __init__(self, samples: Tensor, sources: Sequence[str], sample_rate: int) -> None:
        if samples.ndim != 3 or samples.shape[0] != len(sources):
            raise ShapeError(
                f"estimates are {tuple(samples.shape)} for the sources {', '.join(sources)}; "
                "they must be (sources, channels, time) with one name for each source"
            )
        if len(set(sources)) != len(sources):
            raise ShapeError(f"sources are named {', '.join(sources)}; each name may stand once")
        self.samples = samples
        self.sources = tuple(sources)
        self.sample_rate = sample_rate

    def __getitem__(self, source: str) -> Audio:
        try:
            index = self.sources.index(source)
        except ValueError:
            # A KeyError, as for any mapping, whose text still says what there is.
            raise KeyError(
                f"no source {source!r} among {', '.join(self.sources)}{did_you_mean(source, self.sources)}"
            ) from None
        return Audio(self.samples[index], self.sample_rate)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        seconds = self.samples.shape[-1] / self.sample_rate
        return f"Estimates({', '.join(self.sources)}; {seconds:.2f} s at {self.sample_rate} Hz)"

    def residual(self, mixture: Audio) -> Audio:
        """What the estimates leave of the mixture: mixture minus their sum.

        Args:
            mixture: The recording that was separated.

        Returns:
            Audio of the mixture's shape, in float64 so that small residuals are not rounded away.

        Raises:
            ShapeError: If rate, channels or length differ from the estimates'.
        """
        if (mixture.sample_rate, *mixture.samples.shape) != (self.sample_rate, *self.samples.shape[1:]):
            raise ShapeError(
                f"the mixture is {tuple(mixture.samples.shape)} at {mixture.sample_rate} Hz, the estimates "
                f"{tuple(self.samples.shape[1:])} at {self.sample_rate} Hz; both must agree"
            )
        return Audio(mixture.samples.double() - self.samples.double().sum(0), self.sample_rate)

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> Estimates:
        """New estimates, each the sum of some of these.

        Args:
            groups: From a new name to the sources that are added up under it.

        Returns:
            One estimate a group, in the order of the groups.

        Raises:
            UsageError: If a group is empty or names a source that is not here.

        >>> import torch
        >>> four = Estimates(torch.ones(4, 2, 3), ("drums", "bass", "other", "vocals"), 44100)
        >>> two = four.regroup({"vocals": ["vocals"], "rest": ["drums", "bass", "other"]})
        >>> two["rest"].samples[0].tolist()
        [3.0, 3.0, 3.0]
        """
        import torch

        for name, members in groups.items():
            missing = [member for member in members if member not in self.sources]
            if missing or not members:
                raise UsageError(
                    f"the group {name!r} asks for {', '.join(missing) or 'nothing'}; "
                    f"there are {', '.join(self.sources)}"
                )
        sums = [
            torch.stack([self.samples[self.sources.index(member)] for member in members]).sum(0)
            for members in groups.values()
        ]
        return Estimates(torch.stack(sums), tuple(groups), self.sample_rate)
