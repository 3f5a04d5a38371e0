"""What is drawn: recordings of any kind, read in blocks, so that memory does not grow with their length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch

from unbraid.audio import Audio
from unbraid.errors import AudioError, ShapeError
from unbraid.io.source import Source, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

# Samples with their rate, a file, or a part of either.
Sound: TypeAlias = Audio | Source | str | Path


def measured(sound: Sound) -> Source:
    """A recording whose length is known.

    Args:
        sound: Samples in memory, a file, or a source; where only decoding tells its length, it is decoded.

    Returns:
        A source with `length`, which can be read as often as needed.

    Raises:
        AudioError: If a file cannot be read, or anything holds NaN or infinity.
    """
    source = sound if isinstance(sound, Source) else source_of(sound)
    if source.length is None:
        return replace(source, length=sum(block.shape[-1] for block in source.read()))
    return source


def length_of(source: Source) -> int:
    """Samples of a recording that has been `measured`."""
    if source.length is None:
        raise AudioError(f"the length of {source.name} is not known yet; measure it first")
    return source.length


def require_alike(sounds: Sequence[Source]) -> None:
    """Refuse recordings that do not belong to each other sample by sample.

    Raises:
        ShapeError: If rate, channels or length differ.
    """
    first = sounds[0]
    for other in sounds[1:]:
        if _shape(other) != _shape(first):
            raise ShapeError(
                f"{other.name} is {_words(other)} and {first.name} is {_words(first)}; "
                "only recordings of the same rate, channels and length can be compared"
            )


def _shape(source: Source) -> tuple[int, int, int | None]:
    return source.sample_rate, len(source.layout), source.length


def _words(source: Source) -> str:
    rate, channels, length = _shape(source)
    return f"{channels} channels of {length} samples at {rate} Hz"


def mixed(sounds: Sequence[Sound], gains: Sequence[float] | None = None, *, name: str = "") -> Source:
    """A weighted sum of recordings, added up as it is read.

    Args:
        sounds: Recordings of one rate, one length, and the same channels.
        gains: A factor for each: `[1, -1]` is a difference; None: 1 for all.
        name: Of the sum; "": that of the first.

    Returns:
        A source that gives float64.

    Raises:
        ShapeError: If rate, channels or length differ.

    >>> ramp = Audio(torch.arange(4.0)[None], 8000)
    >>> next(mixed([ramp, ramp], [1, -0.5]).read()).tolist()
    [[0.0, 0.5, 1.0, 1.5]]
    """
    sources = [measured(sound) for sound in sounds]
    require_alike(sources)
    factors = [1.0] * len(sources) if gains is None else gains

    def read() -> Iterator[Tensor]:
        # All cut their blocks alike; a strict zip and the sum itself would let nothing else pass.
        for blocks in zip(*(source.read() for source in sources), strict=True):
            scaled = [gain * block.double() for gain, block in zip(factors, blocks, strict=True)]
            yield torch.stack(scaled).sum(0)

    return replace(sources[0], read=read, info=None, name=name or sources[0].name)


def in_blocks(pieces: Iterator[Tensor], length: int) -> Iterator[Tensor]:
    """The same samples in blocks of one length, the last one shorter.

    >>> [block.shape[-1] for block in in_blocks(iter([torch.zeros(1, 3), torch.zeros(1, 4)]), 2)]
    [2, 2, 2, 1]
    """
    kept: list[Tensor] = []
    have = 0
    for piece in pieces:
        kept.append(piece)
        have += piece.shape[-1]
        if have >= length:
            whole = torch.cat(kept, -1)
            ready = have - have % length
            yield from torch.split(whole[..., :ready], length, -1)
            kept, have = [whole[..., ready:]], have - ready
    if have:
        yield torch.cat(kept, -1)
