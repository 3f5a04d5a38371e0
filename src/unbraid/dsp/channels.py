"""What is done to each channel layout, said aloud.

A network takes one or two channels. Whatever a recording has, every channel is separated and comes back:

- mono stays mono: the network hears it on both sides, the estimate is the mean of both sides;
- stereo is given as it is;
- more channels are split into the left-right pairs of each ring (front, side, back, top …), each separated as
  stereo, and the single channels (centre, low frequency, back centre …), each separated as mono.

So nothing is mixed down, and an estimate keeps the place in the room of what it was taken from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# Left-right pairs by their names in WAVE and FFmpeg layouts, ring by ring.
_PAIRS = (
    ("FL", "FR"),
    ("FLC", "FRC"),
    ("SL", "SR"),
    ("BL", "BR"),
    ("WL", "WR"),
    ("DL", "DR"),
    ("TFL", "TFR"),
    ("TSL", "TSR"),
    ("TBL", "TBR"),
)


def channel_groups(layout: Sequence[str], width: int) -> tuple[tuple[int, ...], ...]:
    """Which channels are separated together.

    Args:
        layout: A speaker's name for each channel, in order.
        width: Channels the network takes: 2 pairs them up, 1 leaves each alone.

    Returns:
        Groups of channel indices; each channel stands in exactly one.

    >>> channel_groups(("FL", "FR", "FC", "LFE", "BL", "BR"), 2)
    ((0, 1), (2,), (3,), (4, 5))
    >>> channel_groups(("FC",), 2)
    ((0,),)
    """
    names = list(layout)
    partner = (
        {left: right for left, right in _PAIRS if left in names and right in names} if width == 2 else {}
    )
    rights = set(partner.values())
    return tuple(
        (index, names.index(partner[name])) if name in partner else (index,)
        for index, name in enumerate(names)
        if name not in rights
    )


def widen(samples: Tensor, width: int) -> Tensor:
    """A group as the network takes it: a single channel is heard on all `width` of them.

    Args:
        samples: `(1 or width, time)`.
        width: Channels the network takes.

    Returns:
        `(width, time)`.
    """
    return samples.expand(width, -1)


def narrow(estimates: Tensor, channels: int) -> Tensor:
    """Estimates as the group was: of a single channel, the mean over the network's.

    Args:
        estimates: `(sources, width, time)`.
        channels: Channels of the group.

    Returns:
        `(sources, channels, time)`.
    """
    return estimates if estimates.shape[1] == channels else estimates.mean(1, keepdim=True)


def assemble(groups: Sequence[Sequence[int]], parts: Sequence[Tensor]) -> Tensor:
    """Estimates of all groups in the recording's own order of channels.

    Args:
        groups: As from `channel_groups`.
        parts: For each group, `(sources, channels of the group, time)`.

    Returns:
        `(sources, channels, time)`.
    """
    order = torch.tensor([channel for group in groups for channel in group])
    return torch.cat(list(parts), 1)[:, torch.argsort(order)]
