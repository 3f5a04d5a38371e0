"""`demucs.audio`: files in and out, rates and channels.

Differs  rates are changed with soxr; whole numbers are rounded, not cut off; float files are not clipped;
         of a file with several audio streams the first is read; ogg, opus and m4a can be written, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from unbraid.audio import Audio
from unbraid.errors import ShapeError, UsageError
from unbraid.io.formats import FORMATS, format_for
from unbraid.io.probe import probe
from unbraid.io.read import read
from unbraid.io.resample import resample
from unbraid.io.write import write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from unbraid.io.probe import AudioInfo

# What save_audio does about samples beyond full scale.
_CLIP: Mapping[str | None, Callable[[Tensor], Tensor]] = {
    "rescale": lambda wav: wav / max(1.01 * wav.abs().max().item(), 1.0) if wav.numel() else wav,
    "clamp": lambda wav: wav.clamp(-0.99, 0.99),
    "tanh": torch.tanh,
    "none": lambda wav: wav,
    None: lambda wav: wav,
}


class AudioFile:
    """A file of any format that can be read.

    Args:
        path: Of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._info: AudioInfo | None = None

    def __repr__(self) -> str:
        return (
            f"AudioFile(path={self.path}, samplerate={self.samplerate()}, channels={self.channels()}, "
            f"streams={len(self)})"
        )

    def __len__(self) -> int:
        """Audio streams that can be read."""
        return 1

    @property
    def info(self) -> AudioInfo:
        """What the file holds."""
        if self._info is None:
            self._info = probe(self.path)
        return self._info

    @property
    def duration(self) -> float:
        """Length in seconds."""
        if self.info.length is not None:
            return self.info.length / self.info.sample_rate
        return read(self.path).duration

    def channels(self, stream: int = 0) -> int:
        """How many channels the stream has."""
        self._require(stream)
        return self.info.channels

    def samplerate(self, stream: int = 0) -> int:
        """The stream's rate in Hz."""
        self._require(stream)
        return self.info.sample_rate

    def read(
        self,
        seek_time: float | None = None,
        duration: float | None = None,
        streams: int | slice | Sequence[int] = slice(None),
        samplerate: int | None = None,
        channels: int | None = None,
    ) -> Tensor:
        """The samples.

        Args:
            seek_time: Seconds to leave out at the beginning.
            duration: Seconds to read; None: to the end.
            streams: 0, or a slice or list that holds it.
            samplerate: In Hz; None: the file's own.
            channels: As for `convert_audio_channels`; None: the file's own.

        Returns:
            `(C, T)` for one stream, `(1, C, T)` for a slice or list, in float32.

        Raises:
            AudioError: If the file cannot be read.
            UsageError: If another stream than the first is asked for, or the file has no such part.
        """
        indices = [streams] if isinstance(streams, int) else _chosen(streams)
        for index in indices:
            self._require(index)
        audio = read(self.path, start_seconds=seek_time or 0.0, duration_seconds=duration)
        rate = audio.sample_rate if samplerate is None else samplerate
        wav = convert_audio(audio.samples, audio.sample_rate, rate, channels or audio.channels)
        if duration is not None:
            wav = wav[..., : int(rate * duration)]
        return wav if isinstance(streams, int) else torch.stack([wav for _ in indices])

    def _require(self, stream: int) -> None:
        if stream != 0:
            raise UsageError(
                f"{self.path.name}: stream {stream} was asked for; the first, 0, is the one read"
            )


def _chosen(streams: slice | Sequence[int]) -> list[int]:
    return list(range(1))[streams] if isinstance(streams, slice) else list(streams)


def convert_audio_channels(wav: Tensor, channels: int = 2) -> Tensor:
    """Audio with another number of channels.

    Args:
        wav: `(..., C, T)`.
        channels: 1 is the mean of all; more are copies of one, or the first of many.

    Returns:
        `(..., channels, T)`.

    Raises:
        ShapeError: If there are several channels, and fewer than asked for.

    >>> convert_audio_channels(torch.zeros(1, 5), 2).shape
    torch.Size([2, 5])
    """
    *shape, found, length = wav.shape
    if found == channels:
        return wav
    if channels == 1:
        return wav.mean(-2, keepdim=True)
    if found == 1:
        return wav.expand(*shape, channels, length)
    if found < channels:
        raise ShapeError(f"{found} channels cannot become {channels}; one can, and more than {channels} can")
    return wav[..., :channels, :]


def convert_audio(wav: Tensor, from_samplerate: int, to_samplerate: int, channels: int) -> Tensor:
    """Audio at another rate and with another number of channels.

    Args:
        wav: `(..., C, T)`.
        from_samplerate: Its rate in Hz.
        to_samplerate: The rate it shall have in Hz.
        channels: As for `convert_audio_channels`.

    Returns:
        `(..., channels, T · to / from)`, the length rounded down.

    Raises:
        ShapeError: If it has fewer channels than asked for.

    >>> convert_audio(torch.zeros(1, 44100), 44100, 48000, 2).shape
    torch.Size([2, 48000])
    """
    wav = convert_audio_channels(wav, channels)
    if from_samplerate == to_samplerate:
        return wav
    flat = Audio(wav.reshape(-1, wav.shape[-1]).cpu(), from_samplerate)
    resampled = resample(flat, to_samplerate).samples[:, : wav.shape[-1] * to_samplerate // from_samplerate]
    return resampled.reshape(*wav.shape[:-1], -1).to(wav.device)


def save_audio(  # noqa: PLR0917 - scripts give demucs' arguments by position, too
    wav: Tensor,
    path: str | Path,
    samplerate: int,
    bitrate: int = 320,
    clip: str | None = "rescale",
    bits_per_sample: int = 16,
    as_float: bool = False,
    preset: int = 2,  # noqa: ARG001 - the bit rate alone says how good an mp3 is
) -> None:
    """Samples into a file, whose suffix says the format.

    Args:
        wav: `(C, T)`, full scale ±1.
        path: Of the file; missing folders are made, a file that is there is replaced.
        samplerate: In Hz.
        bitrate: Of a lossy file, in kb/s.
        clip: What is done where samples exceed full scale: "rescale" turns all down until none does, "clamp"
            cuts them off at 0.99, "tanh" bends them, "none" leaves them to the format.
        bits_per_sample: 16 or 24 of wav and flac; 32 is float.
        as_float: Write a wav in float.
        preset: Changes nothing.

    Raises:
        UsageError: If there is no such format, samples or way of clipping.
        ShapeError: If the samples are not `(C, T)`.
        NonFiniteAudioError: If there is NaN or infinity among them.
        MachineError: If the file cannot be written.
    """
    if clip not in _CLIP:
        raise UsageError(f"{clip!r} is no way of clipping; there are rescale, clamp, tanh and none")
    name = format_for(path)
    audio = Audio(_CLIP[clip](wav.detach().cpu()), samplerate)
    if FORMATS[name].bitrates is not None:
        write(audio, path, bitrate_kbps=bitrate)
    else:
        as_float = name == "wav" and (as_float or bits_per_sample == 32)
        write(audio, path, bits="32f" if as_float else str(bits_per_sample))
