"""Audio into files: whole, or block by block, and never half."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np
import soundfile

from unbraid.errors import ShapeError, UsageError
from unbraid.io.disk import Draft
from unbraid.io.encoders import FfmpegEncoder, SndfileEncoder
from unbraid.io.formats import OutputFormat, format_for
from unbraid.io.layouts import default_layout
from unbraid.io.ogg import with_comments
from unbraid.io.read import require_finite
from unbraid.io.resample import Resampler, resampled_length
from unbraid.io.tags import picture, vorbis_comments
from unbraid.io.wav import WavEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from torch import Tensor
    from typing_extensions import Self

    from unbraid.audio import Audio

_BLOCK = 65536  # samples that are converted and encoded at once


class _Encoder(Protocol):
    """What turns frames, `(n, channels)`, into a file."""

    def write(self, frames: npt.NDArray[Any], /) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class Writer:
    """A file that takes its samples block by block and appears when it is whole.

    Leaving it with an exception leaves no file behind. A rate that the format does not take is changed to
    the nearest it takes (opus: always 48 kHz); surround that ogg, opus or m4a cannot name keeps its channels
    and gets the usual names for so many.

    Args:
        path: Where the file shall be; missing folders are made.
        format: Resolved: with bits, unless it is lossy.
        sample_rate: Of the samples, in Hz.
        channels: How many.
        layout: A loudspeaker's name for each; None: the usual ones for so many.
        length: Samples of each channel that will be written, exactly.
        tags: Title, artist, album, date, track, genre, ...: see `AudioInfo`.
        cover: A JPEG or PNG file; wav, flac, mp3, ogg, opus and m4a all hold it.

    Raises:
        UsageError: If the format cannot hold such audio.
        MachineError: If nothing can be written there.
    """

    def __init__(
        self,
        path: str | Path,
        format: OutputFormat,  # noqa: A002 - the option's name everywhere
        *,
        sample_rate: int,
        channels: int,
        layout: tuple[str, ...] | None,
        length: int,
        tags: Mapping[str, str],
        cover: bytes | None,
    ) -> None:
        self._path, self._format = Path(path), format
        self._channels, self._rate, self._length, self._given = channels, sample_rate, length, 0
        self._layout = layout if layout and len(layout) == channels else default_layout(channels)
        self._tags, self._cover = dict(tags), picture(cover)
        self._check()
        rate = format.kind.nearest_rate(sample_rate)
        written = max(
            resampled_length(length, sample_rate, rate), min(length, 1)
        )  # something stays something
        self._resampler = Resampler(sample_rate, rate, channels, length=written)
        self._draft = Draft(self._path)
        try:
            self._encoder = self._made()
        except BaseException:
            self._draft.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, samples: Tensor) -> None:
        """Take the next block.

        Args:
            samples: `(channels, n)`, full scale ±1; integer formats round it half to even and saturate.

        Raises:
            ShapeError: If it has other channels, or more samples come than were announced.
            NonFiniteAudioError: If it holds NaN or infinity.
            MachineError: If the disk is full.
        """
        if samples.ndim != 2 or samples.shape[0] != self._channels:
            raise ShapeError(
                f"{self._path.name} has {self._channels} channels; {tuple(samples.shape)} was given"
            )
        require_finite(samples, self._path.name, offset=self._given, sample_rate=self._rate)
        self._given += samples.shape[1]
        if self._given > self._length:
            raise ShapeError(f"{self._path.name} was announced with {self._length} samples; more were given")
        self._encode(self._resampler.push(samples))

    def close(self) -> Path:
        """Complete the file and move it to its name.

        Returns:
            Its path.

        Raises:
            ShapeError: If fewer samples came than were announced.
            MachineError: If the disk is full.
        """
        try:
            self._require_all()
            self._encode(self._resampler.finish())
            self._encoder.close()
            self._draft.check()
            self._put_comments()
            self._draft.place()
        except BaseException:
            self.abort()
            raise
        return self._path

    def abort(self) -> None:
        """Leave no file behind; after `close` nothing changes."""
        self._draft.discard()
        self._encoder.abandon()

    def _require_all(self) -> None:
        if self._given != self._length:
            raise ShapeError(
                f"{self._path.name} was announced with {self._length} samples; {self._given} were given"
            )

    def _check(self) -> None:
        """Refuse what the format cannot hold, before anything is written."""
        name, most = self._format.name, self._format.kind.channels
        if not 1 <= self._channels <= most:
            raise UsageError(
                f"{self._path.name}: {self._channels} channels were given and {name} holds 1 to {most}; "
                "wav holds any number"
            )
        if not self._format.is_lossy and self._format.bits is None:
            raise UsageError(f"{name} needs its samples chosen: {' or '.join(self._format.kind.bits)}")
        if not self._length and name != "wav":
            raise UsageError(f"{self._path.name}: {name} cannot hold 0 samples; wav can")

    def _made(self) -> _Encoder:
        tags, cover, name = self._tags, self._cover, self._format.name
        rate = self._format.kind.nearest_rate(self._rate)
        try:
            if self._format.bits and name == "wav":
                return WavEncoder(
                    self._draft,
                    self._format.bits,
                    sample_rate=rate,
                    layout=self._layout,
                    length=self._length,
                    tags=tags,
                    cover=cover,
                )
            if name in ("flac", "m4a"):
                return FfmpegEncoder(
                    self._draft, self._format, sample_rate=rate, layout=self._layout, tags=tags, cover=cover
                )
            return SndfileEncoder(
                self._draft, self._format, sample_rate=rate, channels=self._channels, tags=tags, cover=cover
            )
        except (av.error.FFmpegError, soundfile.LibsndfileError) as error:
            self._draft.check()
            raise UsageError(
                f"{self._path.name}: {name} cannot hold {self._channels} channels at {rate} Hz; wav can"
            ) from error

    def _encode(self, samples: Tensor) -> None:
        if samples.shape[1]:
            self._encoder.write(quantized(samples.detach().cpu().numpy().T, self._format.integer_bits))
            self._draft.check()

    def _put_comments(self) -> None:
        """Title and cover of an Ogg file, which its encoder does not write: pages are copied around them."""
        comments = vorbis_comments(self._tags, self._cover)
        if self._format.name not in ("ogg", "opus") or not comments:
            return
        bare, self._draft = self._draft, Draft(self._path)
        try:
            for page in with_comments(bare.whole(), comments):
                self._draft.write(page)
        finally:
            bare.discard()


def write(
    audio: Audio, path: str | Path, *, bits: str | None = None, bitrate_kbps: int | None = None
) -> Path:
    """Audio into a file, whose suffix says the format: .wav, .flac, .mp3, .ogg, .opus or .m4a.

    Args:
        audio: Samples and their rate.
        path: Where the file shall be; missing folders are made, a file that is there is replaced.
        bits: "16", "24" or "32f"; None: the most the format has, so 32f in wav and 24 in flac.
        bitrate_kbps: Of a lossy format; None: its default.

    Returns:
        The file's path.

    Raises:
        UsageError: If the suffix is no format's, or the format cannot hold such audio.
        NonFiniteAudioError: If the audio holds NaN or infinity.
        MachineError: If it cannot be written.
    """
    chosen = OutputFormat(format_for(path), bits, bitrate_kbps)
    if not chosen.is_lossy and bits is None:
        chosen = OutputFormat(chosen.name, chosen.kind.bits[-1])
    with Writer(
        path,
        chosen,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        layout=None,
        length=audio.length,
        tags={},
        cover=None,
    ) as writer:
        for start in range(0, audio.length, _BLOCK):
            writer.write(audio.samples[:, start : start + _BLOCK])
    return Path(path)


def quantized(frames: npt.NDArray[Any], bits: int | None) -> npt.NDArray[Any]:
    """Frames as an encoder takes them.

    Args:
        frames: `(n, channels)`, full scale ±1.
        bits: 16 or 24; None: float.

    Returns:
        int16 for 16 bits, int32 with its bits at the top for 24, else float32. Whole numbers are the nearest,
        halves to even, and saturate, so that an exact multiple of full scale / 2^(bits−1) stays what it is.
    """
    if bits is None:
        return np.ascontiguousarray(frames, dtype=np.float32)
    full = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(frames.astype(np.float64) * full), -full, full - 1)
    return whole.astype(np.int16, order="C") if bits == 16 else (whole * 256).astype(np.int32, order="C")
