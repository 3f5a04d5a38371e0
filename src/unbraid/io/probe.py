"""What a file holds, told without decoding it: rate, layout, length, samples, tags, cover."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from unbraid.errors import AudioError, MachineError
from unbraid.io.headers import promised_length
from unbraid.io.layouts import default_layout
from unbraid.io.tags import known_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from av.audio.stream import AudioStream
    from av.container import InputContainer

# libsndfile reads these and tells their exact length; everything else is FFmpeg's. Vorbis is here because
# FFmpeg does not cut the last page of a short stream. MP3 is not, because libsndfile guesses the length of
# a file without a Xing header and writes notes about damage to the terminal; nor is W64, whose padding it
# takes for samples.
_SNDFILE_CONTAINERS = ("wav", "aiff", "caf", "au")
_SNDFILE_PAIRS = (("flac", "flac"), ("ogg", "vorbis"))

_LOSSLESS = frozenset(
    {"alac", "ape", "flac", "mlp", "shorten", "tak", "truehd", "tta", "wavpack", "wmalossless"}
)
_BITS_OF_PCM = {"u8": "16", "s8": "16", "16": "16", "24": "24"}  # by what a codec's name holds; else "32f"
_BITS_OF_SAMPLES = {"u8": "16", "s16": "16", "s32": "24"}  # a lossless codec gives 24 bits in 32; else "32f"
_ENDLESS = 1 << 62  # libsndfile's length of a stream that does not know its own
_HEADER_SLACK = 64  # samples: some recorders count their own header as audio


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file holds.

    Args:
        path: Of the file.
        sample_rate: In Hz.
        channels: How many.
        layout: A loudspeaker's name for each channel, in their order; WAVE's default where the file is mute.
        length: Samples of each channel, exact; None where only decoding can tell.
        container: As FFmpeg names it: wav, flac, mp3, ogg, mp4, matroska, ...
        codec: As FFmpeg names it: pcm_s16le, flac, mp3, vorbis, opus, aac, ...
        bits: The samples that hold it without loss: "16", "24" or "32f"; None for a lossy codec.
        tags: Title, artist, album, album_artist, composer, date, track, disc, genre, comment, where given.
        cover: The picture's file as it is.
        duration_seconds: As the container says, which may be rounded; None where it says nothing.
        by_sndfile: Whether libsndfile decodes it; FFmpeg decodes the others.
        stream: Which of the file's audio streams it is, from 0.
    """

    path: Path
    sample_rate: int
    channels: int
    layout: tuple[str, ...]
    length: int | None
    container: str
    codec: str
    bits: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    cover: bytes | None = field(default=None, repr=False)
    duration_seconds: float | None = None
    by_sndfile: bool = False
    stream: int = 0


def probe(path: str | Path, *, stream: int = 0) -> AudioInfo:
    """What a file holds, without decoding it.

    Args:
        path: A file of any format that libsndfile or FFmpeg reads, video included.
        stream: Which of its audio streams, from 0; the stems of a `.stem.mp4` are streams of one file.

    Returns:
        Facts of that stream.

    Raises:
        AudioError: If there is no such file, or no such audio in it.
        MachineError: If it may not be read.
    """
    path = Path(path)
    with audio_stream(path, stream) as (container, found):
        info = _described(path, container, found, stream)
    if _is_for_sndfile(info):
        info = _measured(info)
    if info.length == 0:
        raise AudioError(f"{path.name} holds no samples; there is nothing in it to separate")
    return info


@contextmanager
def audio_stream(path: Path, index: int = 0) -> Iterator[tuple[InputContainer, AudioStream]]:
    """A file opened by FFmpeg, and one of its audio streams.

    Nothing but the file itself is opened: a playlist cannot lead to other files or to the network.

    Raises:
        AudioError: If there is no such file, or no such audio in it.
        MachineError: If it may not be read.
    """
    import av

    with _readable(path) as file:
        try:
            container = _opened(file)
        except (av.error.FFmpegError, OSError) as error:
            raise AudioError(
                f"{path.name} is not audio in a format that can be read, or it is damaged at its start; "
                "play it to see, and convert it to wav or flac if it plays"
            ) from error
        with container:
            if not container.streams.audio:
                raise AudioError(f"{path.name} holds no audio; its streams are {_kinds(container)}")
            if index >= len(container.streams.audio):
                count = len(container.streams.audio)
                raise AudioError(f"{path.name} has audio streams 0 to {count - 1}; {index} was asked for")
            stream = container.streams.audio[index]
            if stream.codec_context is None:  # no decoder has such a format
                raise AudioError(f"{path.name} holds audio of an unknown codec; convert it to wav or flac")
            yield container, stream


def _opened(file: BinaryIO) -> InputContainer:
    """FFmpeg's view of the file."""
    import av

    # FFmpeg needs no protocol for a file handed to it open; "crypto" alone opens nothing.
    options = {"protocol_whitelist": "crypto"}
    head = file.read(3)
    mp3 = head == b"ID3" or (head[:1] == b"\xff" and head[1] & 0xE0 == 0xE0)
    file.seek(0)
    try:
        container = av.open(file, "r", options=options, metadata_errors="replace")
    except av.error.InvalidDataError:
        if not mp3:
            raise
    else:
        if container.streams.audio or not mp3:
            return container
        container.close()
    # An MP3 of a few frames is taken for something else if its data happen to hold what looks like a header.
    file.seek(0)
    return av.open(file, "r", format="mp3", options=options, metadata_errors="replace")


class AudioFile(io.BufferedReader):
    """A file for decoders: a damaged header may send them nowhere, and their bindings would print a trace."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb", 0))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move; −1 where that is impossible."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """The file, open; each way in which it cannot be is one sentence."""
    try:
        file = AudioFile(path)
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError(f"{path} does not exist; check the name and the folder") from None
    except IsADirectoryError:
        raise AudioError(f"{path} is a folder where one audio file is needed") from None
    except PermissionError:
        if os.path.isdir(path):  # noqa: PTH112 - Windows says so of a folder; pathlib may refuse to look
            raise AudioError(f"{path} is a folder where one audio file is needed") from None
        raise MachineError(f"{path} may not be read by this user; change its permissions") from None
    except OSError as error:
        raise MachineError(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        if not file.read(1):
            raise AudioError(f"{path.name} is empty: it has 0 bytes")
        file.seek(0)
        yield file


def _kinds(container: InputContainer) -> str:
    return ", ".join(stream.type for stream in container.streams) or "none"


def _described(path: Path, container: InputContainer, stream: AudioStream, index: int) -> AudioInfo:
    """What FFmpeg knows of the stream."""
    context = stream.codec_context
    codec = context.codec.canonical_name
    channels = context.layout.nb_channels
    if not (context.sample_rate and channels):
        raise AudioError(f"{path.name} says neither rate nor channels of its {codec} audio; it may be cut")
    name = container.format.name.split(",")[0]
    return AudioInfo(
        path=path,
        sample_rate=context.sample_rate,
        channels=channels,
        layout=_layout(context.layout.channels, channels),
        length=_xing_length(stream) if codec == "mp3" else None,
        container="mp4" if name == "mov" else name,
        codec=codec,
        bits=_bits(codec, context.format.name),
        tags=known_tags(container.metadata, stream.metadata),
        cover=_cover(container),
        duration_seconds=_seconds(container, stream),
        stream=index,
    )


def _layout(speakers: tuple[Any, ...], channels: int) -> tuple[str, ...]:
    names = tuple(speaker.name for speaker in speakers)
    return names if len(set(names)) == channels and "NONE" not in names else default_layout(channels)


def _xing_length(stream: AudioStream) -> int | None:
    """Exact length of an MP3 whose Xing header says how much its encoder added; None without one.

    FFmpeg lets such a stream start after the encoder's delay and counts neither delay nor padding; without
    the header it starts at 0 and the duration is a guess from the bit rate.
    """
    if not stream.start_time or stream.duration is None or stream.time_base is None:
        return None
    return round(stream.duration * stream.time_base * stream.codec_context.sample_rate)


def _seconds(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1e6  # FFmpeg's clock ticks in µs


def _bits(codec: str, samples: str) -> str | None:
    if codec.startswith("pcm_"):
        return next((bits for mark, bits in _BITS_OF_PCM.items() if mark in codec), _law_or_float(codec))
    return _BITS_OF_SAMPLES.get(samples.removesuffix("p"), "32f") if codec in _LOSSLESS else None


def _law_or_float(codec: str) -> str:
    """The telephone's laws fit into 16 bits; what is left is 32 or 64 bits wide."""
    return "16" if codec.endswith("law") else "32f"


def _cover(container: InputContainer) -> bytes | None:
    from av.stream import Disposition

    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            for packet in container.demux(stream):
                return bytes(packet) or None
    return None


def _is_for_sndfile(info: AudioInfo) -> bool:
    if info.path.suffix.lower() == ".raw":  # soundfile takes the suffix for "no header"
        return False
    if info.codec.startswith("pcm_"):
        return info.container in _SNDFILE_CONTAINERS
    return (info.container, info.codec) in _SNDFILE_PAIRS


def _measured(info: AudioInfo) -> AudioInfo:
    """The same with the exact length, from libsndfile, or from a header that promises more."""
    import soundfile

    with AudioFile(info.path) as file:
        try:
            with soundfile.SoundFile(file) as sound:
                length = sound.frames
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{info.path.name} is damaged: its {info.container} header makes no sense"
            ) from error
    promised = promised_length(info.path)
    if length == 0 and promised is None:
        return info  # a header never filled in; FFmpeg reads to the end of the file
    if promised is not None and promised - length > _HEADER_SLACK:
        length = promised  # the reader will find the end early and say where
    return replace(info, length=None if length >= _ENDLESS else length, by_sndfile=True)
