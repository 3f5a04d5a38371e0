"""Track: a song with its true sources, read from disk only when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from unbraid.audio import Audio
from unbraid.errors import AudioError, UsageError
from unbraid.estimates import Estimates
from unbraid.io.decode import arrays, exact_length
from unbraid.io.probe import probe
from unbraid.io.read import require_finite, require_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from unbraid.io.decode import Array
    from unbraid.io.probe import AudioInfo

MIXTURE = "mixture"  # what the mixture is called where sources are called by their names
_BLOCK = 65536  # samples


@dataclass(frozen=True, slots=True)
class Recording:
    """Where one signal lies: a file, or one audio stream of a file.

    Args:
        path: Of the file.
        stream: Which of its audio streams, from 0.
    """

    path: Path
    stream: int = 0

    def __str__(self) -> str:
        return f"{self.path.name}, stream {self.stream}" if self.stream else self.path.name

    def info(self) -> AudioInfo:
        """Its header's facts.

        Raises:
            AudioError: If there is no such file or stream, or it cannot be read.
            MachineError: If it may not be read.
        """
        return probe(self.path, stream=self.stream)


@dataclass(frozen=True)  # without slots: what headers say is kept once it was read
class Track:
    """A song with its true sources, read from disk only when asked for.

    The mixture decides rate, channels and length. A source that is shorter ends in silence, one that is
    longer is cut, and one that is mono is the same in every channel; a source of another rate or of other
    channels is refused. A source may be several recordings, which are added up, or none, which is silence.

    Args:
        name: Of the song.
        sources: Recordings of each source, by its name.
        recorded: Recordings that are the mixture; none: the mixture is the sum of all sources.
        split: Which part of a data set it belongs to (train, test, ...), where there are parts.
    """

    name: str
    sources: Mapping[str, tuple[Recording, ...]]
    recorded: tuple[Recording, ...] = ()
    split: str = ""

    @property
    def key(self) -> str:
        """Its split and its name: no two songs of a data set share it."""
        return f"{self.split}/{self.name}" if self.split else self.name

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those of all sources."""
        return tuple(one for recordings in self.sources.values() for one in recordings)

    @property
    def is_summed(self) -> bool:
        """Whether the mixture is the sum of the sources by definition, not a recording of its own."""
        return not self.recorded or set(self.recorded) == set(self.recordings)

    @property
    def sample_rate(self) -> int:
        """Of the mixture, in Hz."""
        return self._infos[0].sample_rate

    @property
    def channels(self) -> int:
        """Of the mixture."""
        return max(info.channels for info in self._infos)

    @cached_property
    def length(self) -> int:
        """Samples of each channel of the mixture; a lossy file is decoded once to count them."""
        return max(map(exact_length, self._infos))

    def mixture(self, *, start_seconds: float = 0.0, duration_seconds: float | None = None) -> Audio:
        """The song as it is heard.

        Args:
            start_seconds: Where to begin, rounded to the nearest sample.
            duration_seconds: How much to read; None: to the end.

        Returns:
            `(channels, time)` in float32; full scale ±1, a sum may go beyond.

        Raises:
            AudioError: If a recording cannot be read, holds NaN or infinity, or does not fit the others.
            UsageError: If the song ends before `start_seconds`.
            MachineError: If a file may not be read.
        """
        start, end = self._part(start_seconds, duration_seconds)
        pieces = self._signal(self.recorded or self.recordings, start, end, _BLOCK)
        return Audio(torch.cat(list(pieces), 1), self.sample_rate)

    def references(self, *, start_seconds: float = 0.0, duration_seconds: float | None = None) -> Estimates:
        """The true sources, in the order of `sources`.

        Args:
            start_seconds: As in `mixture`, like the rest.
            duration_seconds: How much to read; None: to the end.

        Returns:
            `(sources, channels, time)` in float32, each as long as the mixture.

        Raises:
            AudioError: As `mixture` does.
            UsageError: If the song ends before `start_seconds`.
            MachineError: If a file may not be read.
        """
        start, end = self._part(start_seconds, duration_seconds)
        sources = [
            torch.cat(list(self._signal(recordings, start, end, _BLOCK)), 1)
            for recordings in self.sources.values()
        ]
        return Estimates(torch.stack(sources), tuple(self.sources), self.sample_rate)

    def blocks(
        self, *, length: int = _BLOCK, start_seconds: float = 0.0, duration_seconds: float | None = None
    ) -> Iterator[tuple[Audio, Estimates]]:
        """The mixture and its true sources block by block, at constant memory.

        Args:
            length: Samples in each block but the last.
            start_seconds: As in `mixture`, like the rest.
            duration_seconds: How much to read; None: to the end.

        Yields:
            The mixture, `(channels, length)`, and its sources, `(sources, channels, length)`.

        Raises:
            AudioError: As `mixture` does; what only decoding shows, as its block is taken.
            UsageError: If the song ends before `start_seconds`.
            MachineError: If a file may not be read.
        """
        start, end = self._part(start_seconds, duration_seconds)
        signals = (self.recorded or self.recordings, *self.sources.values())
        streams = [self._signal(recordings, start, end, length) for recordings in signals]
        for mixture, *sources in zip(*streams, strict=True):
            estimates = Estimates(torch.stack(sources), tuple(self.sources), self.sample_rate)
            yield Audio(mixture, self.sample_rate), estimates

    def summed(self) -> Track:
        """The same song, whose mixture is the sum of its sources whatever was recorded."""
        return replace(self, recorded=())

    @cached_property
    def _infos(self) -> list[AudioInfo]:
        infos = [recording.info() for recording in self.recorded or self.recordings]
        if not infos:
            raise AudioError(f"{self.key} has neither a mixture nor a source that is recorded")
        return infos

    def _part(self, start_seconds: float, duration_seconds: float | None) -> tuple[int, int]:
        """The samples asked for, as from and to."""
        rate, length = self.sample_rate, self.length
        require_part(start_seconds, duration_seconds, self.name, length=length, sample_rate=rate)
        start = round(start_seconds * rate)
        return start, length if duration_seconds is None else min(
            length, start + round(duration_seconds * rate)
        )

    def _signal(self, recordings: Sequence[Recording], start: int, end: int, block: int) -> Iterator[Tensor]:
        """The sum of recordings from sample `start` to `end`, in float32, rounded once."""
        streams = [self._recorded(recording, start, end, block) for recording in recordings]
        for at in range(start, end, block):
            pieces = [next(stream) for stream in streams]
            if len(pieces) == 1:
                yield pieces[0]
            else:
                silence = torch.zeros(self.channels, min(block, end - at), dtype=torch.float64)
                yield sum(pieces, silence).float()

    def _recorded(self, recording: Recording, start: int, end: int, block: int) -> Iterator[Tensor]:
        """One recording from sample `start` to `end`, with silence after its own end."""
        info = self._fitting(recording)
        rate, at = info.sample_rate, start
        for piece in _pieces(info, start, end, block):
            samples = torch.from_numpy(piece)
            require_finite(samples, f"{self.key}: {recording}", offset=at, sample_rate=rate)
            missing = min(block, end - at) - samples.shape[1]
            yield torch.nn.functional.pad(samples, (0, missing)).expand(self.channels, -1)
            at += block
        for later in range(at, end, block):
            yield torch.zeros(self.channels, min(block, end - later))

    def _fitting(self, recording: Recording) -> AudioInfo:
        """A recording's facts, if its samples can stand beside the mixture's."""
        info = recording.info()
        if info.sample_rate != self.sample_rate:
            raise AudioError(
                f"{self.key}: {recording} is at {info.sample_rate} Hz, the mixture at {self.sample_rate} "
                "Hz; bring all recordings of a song to one rate"
            )
        if info.channels not in (1, self.channels):
            raise AudioError(
                f"{self.key}: {recording} has {info.channels} channels, the mixture {self.channels}; a "
                "source must have as many as the mixture, or one"
            )
        return info


def _pieces(info: AudioInfo, start: int, end: int, block: int) -> Iterator[Array]:
    """A recording's samples from `start` to `end`, as far as there are any."""
    if info.length is not None and start >= info.length:
        return
    rate = info.sample_rate
    try:
        yield from arrays(
            info, length=block, start_seconds=start / rate, duration_seconds=(end - start) / rate
        )
    except UsageError:  # a lossy file, whose end only decoding tells, ended before `start`
        return
