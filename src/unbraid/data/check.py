"""The data set's doctor: what is wrong with songs and their true sources, found block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from unbraid.data.track import MIXTURE
from unbraid.errors import AudioError, MachineError, UnbraidError
from unbraid.io.decode import arrays, clock
from unbraid.progress import Reporter, Stage, check_cancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from unbraid.data.track import Recording, Track
    from unbraid.io.probe import AudioInfo
    from unbraid.progress import Listener

_BLOCK = 65536  # samples
_SILENT = 2.0**-15  # full scale 1: one step of 16 bits is nothing but dither
# The six-second excerpt of MUSDB18 whose streams are AAC is at -15 dB, songs stored without loss are below
# -90 dB, mixtures of other sources around 0 dB.
_NO_MIXTURE_DB = -10.0
_EXACT_DB = -60.0


class Kind(str, Enum):
    """What a finding is about."""

    EMPTY = "empty"  # a song without any source
    MISSING = "missing"  # a file that is not there
    UNREADABLE = "unreadable"  # a file that cannot be decoded to its end
    RATE = "rate"  # another sample rate than the mixture's
    CHANNELS = "channels"  # neither the mixture's channels nor one
    NOT_FINITE = "not finite"  # NaN or infinity
    LENGTH = "length"  # another length than the mixture's
    SILENT = "silent"  # nothing to hear, in all channels or in one
    SUM = "sum"  # a mixture that is not the sum of the sources
    ABSENT = "absent"  # a source that other songs of the data set have


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Args:
        track: The song, with its split.
        part: The source, "mixture", or "" where it is about the whole song.
        kind: What it is about.
        is_broken: True: the song cannot be read as it is, or would give wrong scores. False: it can be
            read, and this is what one should know.
        found: What was found, for a person.
        advice: What to do.
    """

    track: str
    part: str
    kind: Kind
    is_broken: bool
    found: str
    advice: str

    def to_json(self) -> dict[str, str | bool]:
        """Plain values."""
        return {
            "track": self.track,
            "part": self.part,
            "kind": self.kind.value,
            "broken": self.is_broken,
            "found": self.found,
            "advice": self.advice,
        }


def check(
    tracks: Iterable[Track], *, listener: Listener | None = None, cancel: threading.Event | None = None
) -> Iterator[Finding]:
    """What is wrong with a data set, song by song; every sample is read, at constant memory.

    Args:
        tracks: Its songs.
        listener: Called with `Progress` in the stage `MEASURE`, counted in songs.
        cancel: Stops the work when it is set.

    Yields:
        Findings as they are made: those of `check_track`, and which sources a song lacks that more than half
        of the others have.

    Raises:
        Cancelled: If the caller has set `cancel`.
    """
    tracks = list(tracks)
    count = {
        source: sum(source in track.sources for track in tracks)
        for track in tracks
        for source in track.sources
    }
    common = [source for source, songs in count.items() if 2 * songs > len(tracks)]
    reporter = Reporter(Stage.MEASURE, "data set", len(tracks), listener, cancel)
    for track in tracks:
        for source in common:
            if source not in track.sources:
                yield _note(
                    track, source, Kind.ABSENT, f"not there; {count[source]} of {len(tracks)} songs have it",
                    "fine if the song has none; otherwise add the file",
                )  # fmt: skip
        yield from check_track(track, cancel=cancel)
        reporter.advance(1)


def check_track(track: Track, *, cancel: threading.Event | None = None) -> list[Finding]:
    """What is wrong with one song; every sample is read, at constant memory.

    Args:
        track: The song.
        cancel: Stops the work when it is set.

    Returns:
        Findings about files that are missing or unreadable, rates, channels and lengths that differ, NaN and
        infinity, silence, and a mixture that is not the sum of its sources.

    Raises:
        Cancelled: If the caller has set `cancel`.
    """
    if not track.sources:
        return [_broken(track, "", Kind.EMPTY, "no source", "add a file for each source")]
    parts = [(MIXTURE, one) for one in track.recorded if not track.is_summed]
    parts += [(source, one) for source, recordings in track.sources.items() for one in recordings]
    opened = [_opened(track, part, recording) for part, recording in parts]
    meters = [meter for meter in opened if isinstance(meter, _Meter)]
    findings = [finding for finding in opened if isinstance(finding, Finding)]
    if not meters:
        return findings
    findings += _misfits(track, meters)
    # The mixture is only compared where all of it and of its sources is there, and not their sum anyway.
    difference = _Difference(meters) if meters[0].part == MIXTURE and not findings else None
    while any([meter.advance() for meter in meters]):  # noqa: C419 - every meter must advance
        check_cancelled(cancel, track.key)
        if difference and all(meter.not_finite is None for meter in meters):
            difference.add()
    findings += _heard(track, meters)
    if difference and not any(finding.is_broken for finding in findings):
        findings += _unequal(track, difference)
    return findings


class _Meter:
    """One recording that is read block by block, and what was seen of it so far."""

    def __init__(self, part: str, recording: Recording, info: AudioInfo) -> None:
        self.part, self.recording, self.info = part, recording, info
        self.block: npt.NDArray[np.float64] = np.zeros((info.channels, 0))
        self.length = 0
        self.peaks = np.zeros(info.channels)
        self.not_finite: int | None = None
        self.error: UnbraidError | None = None
        self._pieces = arrays(info, length=_BLOCK)

    def advance(self) -> bool:
        """Read the next block; False where there is none."""
        try:
            piece = next(self._pieces, None)
        except UnbraidError as error:
            self.error, piece = error, None
        if piece is None:
            self.block = self.block[:, :0]
            return False
        self.block = piece.astype(np.float64)
        finite = np.isfinite(self.block).all(0)
        if self.not_finite is None and not finite.all():
            self.not_finite = self.length + int(np.argmin(finite))
        self.length += self.block.shape[1]
        self.peaks = np.maximum(self.peaks, np.abs(np.nan_to_num(self.block)).max(1))
        return True


def _opened(track: Track, part: str, recording: Recording) -> _Meter | Finding:
    """A meter that stands at the beginning of a recording, or why there is none."""
    try:
        return _Meter(part, recording, recording.info())
    except (AudioError, MachineError) as error:
        return _unread(track, part, recording, error)


class _Difference:
    """Energies of a recorded mixture, of the sum of the sources, and of what is between them."""

    def __init__(self, meters: Sequence[_Meter]) -> None:
        self._mixtures = [meter for meter in meters if meter.part == MIXTURE]
        self._sources = [meter for meter in meters if meter.part != MIXTURE]
        self._channels = max(meter.info.channels for meter in meters)
        self._mixture = self._sum = self._product = self._left = 0.0

    def add(self) -> None:
        """Count the block that every meter stands at."""
        mixture, sources = self._signal(self._mixtures), self._signal(self._sources)
        self._mixture += float(np.vdot(mixture, mixture))
        self._sum += float(np.vdot(sources, sources))
        self._product += float(np.vdot(mixture, sources))
        self._left += float(np.vdot(mixture - sources, mixture - sources))

    @property
    def level_db(self) -> float:
        """Of mixture minus sum, in dB relative to the mixture; −inf where they are equal."""
        return _db(self._left, self._mixture)

    @property
    def gain(self) -> float:
        """By which the sum comes nearest to the mixture."""
        return self._product / self._sum if self._sum else 0.0

    @property
    def level_after_gain_db(self) -> float:
        """Of mixture minus gain × sum, in dB relative to the mixture."""
        return _db(max(0.0, self._mixture - self.gain * self._product), self._mixture)

    def _signal(self, meters: Sequence[_Meter]) -> npt.NDArray[np.float64]:
        total = np.zeros((self._channels, _BLOCK))
        for meter in meters:
            total[:, : meter.block.shape[1]] += meter.block
        return total


def _db(energy: float, reference: float) -> float:
    if not energy:
        return -math.inf
    return 10 * math.log10(energy / reference) if reference else math.inf


def _leading(meters: Sequence[_Meter]) -> list[_Meter]:
    """Those that decide rate, channels and length: the mixture's, or all where it is their sum."""
    return [meter for meter in meters if meter.part == MIXTURE] or list(meters)


def _misfits(track: Track, meters: Sequence[_Meter]) -> Iterator[Finding]:
    """Rates and channels that keep sources from being read beside the mixture."""
    first = meters[0]  # the mixture, where there is one
    channels = max(meter.info.channels for meter in _leading(meters))
    for meter in meters:
        if meter.info.sample_rate != first.info.sample_rate:
            found = f"{meter.recording} is at {meter.info.sample_rate} Hz"
            found += f", {first.part} at {first.info.sample_rate} Hz"
            yield _broken(track, meter.part, Kind.RATE, found, "bring all to one rate")
        if meter.info.channels not in (1, channels):
            found = f"{meter.recording} has {meter.info.channels} channels, the song {channels}"
            yield _broken(track, meter.part, Kind.CHANNELS, found, "bring all to as many channels, or to one")


def _heard(track: Track, meters: Sequence[_Meter]) -> Iterator[Finding]:
    """What only reading to the end tells of each recording."""
    length = max(meter.length for meter in _leading(meters))
    song_rate = meters[0].info.sample_rate
    for meter in meters:
        rate = meter.info.sample_rate
        if meter.error is not None:
            yield _unread(track, meter.part, meter.recording, meter.error)
            continue
        if meter.not_finite is not None:
            found = f"{meter.recording} holds NaN or infinity at {clock(meter.not_finite / rate)}"
            yield _broken(track, meter.part, Kind.NOT_FINITE, found, "export it again")
        if meter.length != length and rate == song_rate:
            less = "shorter" if meter.length < length else "longer"
            found = (
                f"{meter.recording} is {abs(length - meter.length)} samples {less} than the song's {length}"
            )
            does = "it ends in silence" if meter.length < length else "its end is cut"
            yield _note(track, meter.part, Kind.LENGTH, found, f"{does}; check that all begin together")
        if (meter.peaks <= _SILENT).any():
            yield _silence(track, meter)


def _silence(track: Track, meter: _Meter) -> Finding:
    silent = [str(channel) for channel in np.flatnonzero(meter.peaks <= _SILENT)]
    where = "" if len(silent) == meter.info.channels else f" in channel {', '.join(silent)}"
    found = f"{meter.recording} is silent{where}"
    return _note(track, meter.part, Kind.SILENT, found, "a score against silence is undefined")


def _unequal(track: Track, difference: _Difference) -> Iterator[Finding]:
    """A mixture that is not the sum of its sources, and whether a gain is all that is between them."""
    level = difference.level_db
    if level < _EXACT_DB:
        return
    found = f"residual {level:.1f} dB: what the sum of the sources leaves of it"
    advice = "lossy files and mastering do that; take the sum as the mixture where it matters"
    if level > _NO_MIXTURE_DB:
        advice = "a source is missing or another version; look, or take the sum as the mixture"
    if difference.level_after_gain_db < min(level - 20, _EXACT_DB):
        found += f"; it is their sum times {difference.gain:.4g}"
        advice = f"scale the sources by {difference.gain:.4g}"
    yield Finding(track.key, MIXTURE, Kind.SUM, level > _NO_MIXTURE_DB, found, advice)


def _unread(track: Track, part: str, recording: Recording, error: UnbraidError) -> Finding:
    if not recording.path.exists():
        return _broken(track, part, Kind.MISSING, f"{recording} is not there", "get it again")
    return _broken(track, part, Kind.UNREADABLE, str(error), "get it again")


def _broken(track: Track, part: str, kind: Kind, found: str, advice: str) -> Finding:
    return Finding(track.key, part, kind, is_broken=True, found=found, advice=advice)


def _note(track: Track, part: str, kind: Kind, found: str, advice: str) -> Finding:
    return Finding(track.key, part, kind, is_broken=False, found=found, advice=advice)
