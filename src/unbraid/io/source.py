"""Source: a recording that can be read from the start as often as needed, in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.audio import Audio
from unbraid.io.layouts import default_layout
from unbraid.io.naming import track_name
from unbraid.io.probe import AudioInfo, probe
from unbraid.io.read import blocks, require_finite, require_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Source:
    """A recording that can be read from the start as often as needed, in blocks.

    Args:
        name: Of the track.
        sample_rate: In Hz.
        layout: A speaker's name for each channel.
        length: Samples of each channel, where known before reading.
        read: Gives the recording as blocks of `(channels, n)`, from the start each time it is called.
        info: Of the file it comes from; None for audio in memory.
        start_seconds: Where in the file it begins.
    """

    name: str
    sample_rate: int
    layout: tuple[str, ...]
    length: int | None
    read: Callable[[], Iterator[Tensor]]
    info: AudioInfo | None = None
    start_seconds: float = 0.0


def source_of(
    recording: Audio | str | Path, *, start_seconds: float = 0.0, duration_seconds: float | None = None
) -> Source:
    """A source from a file or from audio in memory.

    Args:
        recording: Path of a file, or samples with their rate.
        start_seconds: Where to begin.
        duration_seconds: How much to read; None: to the end.

    Returns:
        A source; the file is opened anew each time it is read.

    Raises:
        AudioError: If the file cannot be read, or samples in memory are NaN or infinite.
        UsageError: If samples in memory do not have the part asked for; a file says so when it is read.
    """
    if isinstance(recording, Audio):
        return _in_memory(recording, start_seconds, duration_seconds)
    info = probe(recording)
    whole = start_seconds == 0 and duration_seconds is None

    def read() -> Iterator[Tensor]:
        pieces = blocks(info.path, start_seconds=start_seconds, duration_seconds=duration_seconds)
        return (piece.samples for piece in pieces)

    length = info.length if whole else None
    return Source(track_name(info.path), info.sample_rate, info.layout, length, read, info, start_seconds)


def _in_memory(audio: Audio, start_seconds: float, duration_seconds: float | None) -> Source:
    rate, name = audio.sample_rate, "the audio in memory"
    require_part(start_seconds, duration_seconds, name, length=audio.length, sample_rate=rate)
    start = round(start_seconds * rate)
    end = audio.length if duration_seconds is None else start + round(duration_seconds * rate)
    samples = audio.samples[:, start:end]
    require_finite(samples, name, offset=start, sample_rate=rate)
    block = 1 << 16

    def read() -> Iterator[Tensor]:
        return (samples[:, at : at + block] for at in range(0, samples.shape[-1], block))

    return Source("audio", rate, default_layout(audio.channels), samples.shape[-1], read)
