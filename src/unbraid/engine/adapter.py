"""Adapter: separation at the recording's own rate and layout.

blocks of the mixture, any rate, any layout
  └─ each group of channels:  resample → level → flow → level back → resample back
finished samples of every source, same rate, same layout, same length
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unbraid.dsp.channels import assemble, channel_groups, narrow, widen
from unbraid.engine.align import Alignment
from unbraid.io.resample import Resampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from unbraid.engine.normalize import Level
    from unbraid.engine.stream import Flow
    from unbraid.spec import ModelSpec


class Adapter:
    """A flow at the recording's own rate and layout.

    Args:
        spec: What the network says of itself.
        make_flow: Makes a flow at the network's rate; called once for each group of channels.
        sample_rate: The track's, in Hz.
        layout: A speaker's name for each of its channels.
        length: Samples of the track; as many come out.
        levels: For each group of channels, as from `Survey`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        make_flow: Callable[[], Flow],
        *,
        sample_rate: int,
        layout: Sequence[str],
        length: int,
        levels: Sequence[Level],
    ) -> None:
        self._groups = channel_groups(layout, spec.channels)
        self._links = [
            _Link(spec, make_flow(), level, sample_rate=sample_rate, channels=len(group), length=length)
            for group, level in zip(self._groups, levels, strict=True)
        ]
        # The groups' resamplers may differ by a few samples on the way.
        self._alignment = Alignment()

    def push(self, block: Tensor, /) -> Tensor:
        """`(C, n)` in, `(S, C, m)` out."""
        return self._common(
            link.push(block[list(group)]) for group, link in zip(self._groups, self._links, strict=True)
        )

    def finish(self) -> Tensor:
        """The rest, `(S, C, m)`."""
        return self._common(link.finish() for link in self._links)

    def _common(self, new: Iterable[Tensor]) -> Tensor:
        """What all groups have, as one."""
        return assemble(self._groups, self._alignment.push(new))


class _Link:
    """One group of channels through resampling and levelling, there and back."""

    def __init__(
        self, spec: ModelSpec, flow: Flow, level: Level, *, sample_rate: int, channels: int, length: int
    ) -> None:
        self._spec, self._flow, self._channels, self._level = spec, flow, channels, level
        self._in = Resampler(sample_rate, spec.sample_rate, spec.channels)
        self._out = Resampler(spec.sample_rate, sample_rate, len(spec.sources) * channels, length=length)

    def push(self, block: Tensor) -> Tensor:
        heard = self._in.push(widen(block, self._spec.channels))
        return self._back(self._flow.push(self._level.apply(heard)), self._out.push)

    def finish(self) -> Tensor:
        last = self._flow.push(self._level.apply(self._in.finish()))
        rest = torch.cat([last, self._flow.finish()], -1)
        return torch.cat([self._back(rest, self._out.push), self._unfold(self._out.finish())], -1)

    def _back(self, estimates: Tensor, resample: Callable[[Tensor], Tensor]) -> Tensor:
        narrowed = narrow(self._level.restore(estimates), self._channels)
        return self._unfold(resample(narrowed.flatten(0, 1)))

    def _unfold(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(self._spec.sources), self._channels, rows.shape[-1])
