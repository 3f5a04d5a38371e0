"""Files into Audio: whole, or block by block at constant memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from unbraid.audio import Audio
from unbraid.errors import NonFiniteAudioError, UsageError
from unbraid.io.decode import arrays, clock
from unbraid.io.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from unbraid.io.probe import AudioInfo


def read(path: str | Path, *, start_seconds: float = 0.0, duration_seconds: float | None = None) -> Audio:
    """A file's audio, sample for sample what was encoded.

    Args:
        path: Of a file in any format that libsndfile or FFmpeg reads, video included.
        start_seconds: Where to begin, rounded to the nearest sample.
        duration_seconds: How much to read; None: to the end.

    Returns:
        Samples in float32, `(channels, time)`, at the file's own rate; full scale ±1, floats beyond it kept.

    Raises:
        AudioError: If the file cannot be read, is damaged or cut, or holds NaN or infinity.
        UsageError: If the file ends before `start_seconds`.
        MachineError: If it may not be read.
    """
    info = probe(path)
    pieces = [block.samples for block in _blocks(info, 1 << 20, start_seconds, duration_seconds)]
    return Audio(torch.cat(pieces, 1), info.sample_rate)


def blocks(
    path: str | Path,
    *,
    length: int = 65536,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
) -> Iterator[Audio]:
    """A file's audio block by block, at constant memory, whatever its length.

    Args:
        path: As in `read`, like the rest.
        length: Samples in each block but the last.
        start_seconds: Where to begin.
        duration_seconds: How much to read; None: to the end.

    Returns:
        The blocks in order. The file is looked at now and decoded as they are taken.

    Raises:
        AudioError: As `read` does; what only decoding shows, as its block is taken.
        UsageError: If the file ends before `start_seconds`.
        MachineError: If it may not be read.
    """
    return _blocks(probe(path), length, start_seconds, duration_seconds)


def require_finite(samples: Tensor, name: str, *, offset: int, sample_rate: int) -> None:
    """Refuse NaN and infinity, which a network would spread over every stem.

    Args:
        samples: `(channels, time)`.
        name: Of what they belong to, for the sentence.
        offset: Samples of the recording before these.
        sample_rate: In Hz.

    Raises:
        NonFiniteAudioError: If there is one, with its time.
    """
    finite = torch.isfinite(samples).all(0)
    if not finite.all():
        first = offset + int((~finite).nonzero()[0])
        raise NonFiniteAudioError(
            f"{name} holds NaN or infinity at {clock(first / sample_rate)} (sample {first}); "
            "export it again, or cut that place out"
        )


def require_part(
    start: float, duration: float | None, name: str, *, length: int | None, sample_rate: int
) -> None:
    """Refuse a part that a recording does not have.

    Args:
        start: Where it begins, in seconds.
        duration: How long it is, in seconds; None: to the end.
        name: Of the recording, for the sentence.
        length: Samples that the recording has; None where only decoding can tell.
        sample_rate: In Hz.

    Raises:
        UsageError: If it begins before or behind the recording, or holds no sample.
    """
    if not 0 <= start < math.inf or not (duration is None or 1 <= duration * sample_rate < math.inf):
        much = "all" if duration is None else f"{duration:g} s"
        raise UsageError(
            f"{much} of {name} from {start:g} s on was asked for; the start must not be negative, the "
            "duration must be at least one sample, and both must be finite"
        )
    if length is not None and start and round(start * sample_rate) >= length:
        raise UsageError(
            f"{name} was asked for from {clock(start)} on; it ends at {clock(length / sample_rate)}"
        )


def _blocks(info: AudioInfo, length: int, start: float, duration: float | None) -> Iterator[Audio]:
    require_part(start, duration, info.path.name, length=info.length, sample_rate=info.sample_rate)
    return _finite(info, arrays(info, length=length, start_seconds=start, duration_seconds=duration), start)


def _finite(info: AudioInfo, pieces: Iterator[npt.NDArray[np.float32]], start: float) -> Iterator[Audio]:
    offset = round(start * info.sample_rate)
    for piece in pieces:
        samples = torch.from_numpy(piece)
        require_finite(samples, info.path.name, offset=offset, sample_rate=info.sample_rate)
        yield Audio(samples, info.sample_rate)
        offset += samples.shape[1]
