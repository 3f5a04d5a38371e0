"""What stems can be written as: one literal table, and OutputFormat, a checked choice from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbraid.io.probe import AudioInfo


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of formats.

    Args:
        bits: Sample formats it holds, the richest last; empty for a lossy format.
        bitrates: Least, default (for up to two channels) and greatest bit rate in kb/s; None: lossless.
        sample_rates: The only rates its encoder takes, in Hz; None: any.
        channels: How many it holds at most.
    """

    bits: tuple[str, ...]
    bitrates: tuple[int, int, int] | None
    sample_rates: Sequence[int] | None
    channels: int

    def nearest_rate(self, sample_rate: int) -> int:
        """The rate the encoder takes that is nearest, the higher of two; the rate itself where it can be."""
        if self.sample_rates is None or sample_rate in self.sample_rates:
            return sample_rate
        return min(self.sample_rates, key=lambda rate: (abs(rate - sample_rate), -rate))


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # ISO 11172-3, 13818-3, and 2.5
_AAC_RATES = (7350, *_MPEG_RATES, 64000, 88200, 96000)  # ISO 14496-3, table 1.18

# FLAC has 20 bits for the rate and FFmpeg's encoder stops here; libvorbis crashes above 200 kHz.
# Opus decodes at 48 kHz whatever it was fed (RFC 7845, section 5.1), so that is its one rate here.
FORMATS = {
    "wav": Kind(("16", "24", "32f"), None, None, 65535),
    "flac": Kind(("16", "24"), None, range(1, 655_351), 8),
    "mp3": Kind((), (8, 320, 320), _MPEG_RATES, 2),
    "ogg": Kind((), (64, 256, 500), range(1, 200_001), 8),
    "opus": Kind((), (6, 192, 512), (48000,), 8),
    "m4a": Kind((), (16, 256, 528), _AAC_RATES, 8),
}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How stems are written.

    Args:
        name: wav, flac, mp3, ogg, opus or m4a.
        bits: "16", "24" or "32f" (float); None: as the source has it, 16 where that was lossy.
        bitrate_kbps: Of a lossy format; None: a good one (mp3 320, ogg and m4a 256, opus 192, and more
            for surround).

    Raises:
        UsageError: If the format is unknown or does not have such samples or such a bit rate.

    >>> OutputFormat("flac", bits="24").suffix
    '.flac'
    >>> OutputFormat("flac", bits="32f")
    Traceback (most recent call last):
    unbraid.errors.UsageError: flac has no 32f samples; it has 16 or 24
    """

    name: str = "wav"
    bits: str | None = None
    bitrate_kbps: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise UsageError(
                f"{self.name!r} is no format for stems; there are {', '.join(FORMATS)}"
                f"{did_you_mean(self.name, FORMATS)}"
            )
        kind = self.kind
        if self.bits is not None and self.bits not in kind.bits:
            what = f"it has {' or '.join(kind.bits)}" if kind.bits else "it is lossy and takes a bit rate"
            raise UsageError(f"{self.name} has no {self.bits} samples; {what}")
        if self.bitrate_kbps is not None and kind.bitrates is None:
            raise UsageError(f"{self.name} is lossless and takes no bit rate; leave it out, or choose mp3")
        if self.bitrate_kbps is not None and kind.bitrates is not None:
            least, _, greatest = kind.bitrates
            if not least <= self.bitrate_kbps <= greatest:
                raise UsageError(
                    f"{self.name} at {self.bitrate_kbps} kb/s was asked for; "
                    f"it goes from {least} to {greatest} kb/s"
                )

    @property
    def kind(self) -> Kind:
        """Its row in the table."""
        return FORMATS[self.name]

    @property
    def suffix(self) -> str:
        """Of the file, with its dot."""
        return f".{self.name}"

    @property
    def is_lossy(self) -> bool:
        """True where the file does not hold every sample as it was."""
        return self.kind.bitrates is not None

    @property
    def integer_bits(self) -> int | None:
        """Bits of samples that are whole numbers, which round and saturate; None for float and lossy."""
        return None if self.bits is None or self.bits.endswith("f") else int(self.bits)

    def resolved(self, info: AudioInfo) -> OutputFormat:
        """The same format with its samples decided from the source's.

        Args:
            info: What the source holds.

        Returns:
            A format whose `bits` are None only if it is lossy.
        """
        if self.is_lossy or self.bits is not None:
            return self
        bits = info.bits or "16"
        return replace(self, bits=bits if bits in self.kind.bits else self.kind.bits[-1])

    def bitrate(self, channels: int) -> int:
        """The bit rate in kb/s for so many channels: as asked, or the default, more for surround."""
        if self.bitrate_kbps is not None or self.kind.bitrates is None:
            return self.bitrate_kbps or 0
        return self.kind.bitrates[1] * max(2, channels) // 2


def format_for(path: str | Path) -> str:
    """The name of the format that a file's suffix means.

    Raises:
        UsageError: If no format has the suffix.

    >>> format_for("vocals.FLAC")
    'flac'
    """
    name = Path(path).suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise UsageError(
            f"{Path(path).name}: no format is known by {name!r}; the name can end in "
            f"{', '.join('.' + known for known in FORMATS)}"
        )
    return name
