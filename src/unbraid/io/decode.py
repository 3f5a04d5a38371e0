"""Samples of a file as float32 arrays, sample for sample what was encoded, without torch.

Who removes what an encoder has added:

    MP3      FFmpeg, from the Xing/LAME header: delay and padding. Without that header nothing is known.
    AAC/MP4  FFmpeg, from the edit list or iTunSMPB: delay. The last packet's padding is left in and is cut
             here, by the frame's duration; what else an edit list leaves out at the end is cut by it, too.
    AAC raw  nobody can: an ADTS stream does not say what was added.
    Opus     FFmpeg: pre-skip, and the end from the last page's position (Ogg) or discard padding (Matroska).
    Vorbis   libsndfile, from the last page's position; FFmpeg leaves the padding of a one-page stream.
    others   have nothing to remove, or do not say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unbraid.errors import AudioError, UsageError
from unbraid.io.layouts import vorbis_positions
from unbraid.io.ogg import ends_within_page
from unbraid.io.probe import AudioFile, audio_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

    from unbraid.io.probe import AudioInfo

    Array = npt.NDArray[np.float32]  # (channels, time)

_READ = 4096  # samples that libsndfile is asked for at once, and that it loses where FLAC is damaged
_EDIT_TICK = 1 / 600  # seconds: the coarsest clock in use for edit lists (QuickTime's default)
_LOSSY_SLACK = 0.1  # seconds that a lossy file may end before its header says, as its last frames go missing


def clock(seconds: float) -> str:
    """A time as m:ss.mmm.

    >>> clock(61.5)
    '1:01.500'
    """
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 60_000}:{milliseconds // 1000 % 60:02}.{milliseconds % 1000:03}"


def exact_length(info: AudioInfo) -> int:
    """Samples of each channel, by decoding the file where its header does not tell.

    Raises:
        AudioError: If the file is damaged or holds no samples.
    """
    if info.length is not None:
        return info.length
    return sum(piece.shape[1] for piece in arrays(info))


def arrays(
    info: AudioInfo, *, length: int = 65536, start_seconds: float = 0.0, duration_seconds: float | None = None
) -> Iterator[Array]:
    """The samples of a file in pieces, full scale ±1, floats beyond it kept.

    Args:
        info: Of the file.
        length: Samples in each piece but the last.
        start_seconds: Where to begin, rounded to the nearest sample.
        duration_seconds: How much to give; None: to the end.

    Yields:
        `(channels, length)`, the last one shorter.

    Raises:
        AudioError: If the file is damaged, or ends before its header says.
        UsageError: If it ends before `start_seconds`.
    """
    start = round(start_seconds * info.sample_rate)
    count = None if duration_seconds is None else round(duration_seconds * info.sample_rate)
    # Where a decoder finds a sample exactly, it is not made to decode what is before.
    skipped = start if info.by_sndfile and info.codec != "vorbis" and info.length is not None else 0
    pieces = _by_sndfile(info, skipped) if info.by_sndfile else _by_ffmpeg(info)
    yield from _in_blocks(_cut(_checked(pieces, info, skipped), info, start - skipped, count), length)


def _by_sndfile(info: AudioInfo, start: int) -> Iterator[Array]:
    import soundfile

    order = list(vorbis_positions(info.channels)) if info.codec == "vorbis" else slice(None)
    position = start
    with AudioFile(info.path) as file, soundfile.SoundFile(file) as sound:
        if start:
            sound.seek(min(start, sound.frames))
        while True:
            try:
                block = sound.read(_READ, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise _damaged(info, position) from error
            if not len(block):
                return
            position += len(block)
            yield np.ascontiguousarray(block.T[order])


def _by_ffmpeg(info: AudioInfo) -> Iterator[Array]:
    import av

    position = 0
    with audio_stream(info.path, info.stream) as (container, stream):
        end = _end(info, stream, container.metadata)
        # Interleaved, because PyAV miscounts the planes of a planar frame of eight channels.
        resampler = av.AudioResampler(format="flt")
        frames = container.decode(stream)
        while end is None or position < end:
            try:
                frame = next(frames, None)
                if frame is None:
                    return
                keep = _kept(info, frame)
                packed = resampler.resample(frame)
            except (av.error.FFmpegError, ValueError) as error:
                raise _damaged(info, position) from error
            for part in packed:
                samples = part.to_ndarray().reshape(-1, info.channels)[:keep].T
                piece = samples if end is None else samples[:, : end - position]
                position += piece.shape[1]
                yield np.ascontiguousarray(piece)


def _kept(info: AudioInfo, frame: AudioFrame) -> int:
    """How many samples of a frame are audio: in MP4 the last packet says so by its duration."""
    if info.container != "mp4" or not frame.duration or frame.time_base is None:
        return frame.samples
    return min(frame.samples, round(frame.duration * frame.time_base * frame.sample_rate))


def _end(info: AudioInfo, stream: AudioStream, metadata: dict[str, str]) -> int | None:
    """The sample at which the container's own word ends the audio, where that is finer than a packet's."""
    if info.container != "mp4":
        return info.length  # of an MP3, whose padding may be longer than the last frame
    smpb = metadata.get("iTunSMPB", "").split()  # unused, delay, padding, samples, all in hexadecimal
    if len(smpb) >= 4:
        return int(smpb[3], 16)
    if stream.duration is None or stream.time_base is None:
        return None
    # An edit list may count in milliseconds: less than a tick it must not take from what packets say.
    return round((stream.duration * stream.time_base + _EDIT_TICK) * info.sample_rate)


def _damaged(info: AudioInfo, position: int) -> AudioError:
    whole = "" if info.length is None else f" of {info.length / info.sample_rate:.1f} s"
    return AudioError(
        f"{info.path.name} is damaged or ends at {position / info.sample_rate:.1f} s{whole}: its "
        f"{info.codec} data cannot be decoded; get it again, or separate only what is before"
    )


def _checked(pieces: Iterator[Array], info: AudioInfo, position: int) -> Iterator[Array]:
    """The same pieces, which begin at `position`; an end before the header's is an error."""
    for piece in pieces:
        position += piece.shape[1]
        yield piece
    rate = info.sample_rate
    if not position:
        raise AudioError(f"{info.path.name} holds no samples; there is nothing in it to separate")
    promised = info.length
    if promised is None and info.container == "mp4" and info.duration_seconds is not None:
        promised = round(info.duration_seconds * rate)
    slack = 0 if info.by_sndfile else _LOSSY_SLACK * rate
    short = promised is not None and promised - position > slack
    if short or (info.container == "ogg" and ends_within_page(info.path)):
        whole = f" of {promised / rate:.1f} s" if promised is not None and short else ""
        raise AudioError(
            f"{info.path.name} ends at {position / rate:.1f} s{whole}: the file was cut, as by a broken "
            f"download; get it again, or separate only its first {1000 * position // rate / 1000:.3f} s"
        )


def _cut(pieces: Iterator[Array], info: AudioInfo, start: int, count: int | None) -> Iterator[Array]:
    """Samples from `start` on, `count` of them; decoding from the beginning is what makes the cut exact."""
    position, end = 0, None if count is None else start + count
    for piece in pieces:
        wanted = piece[:, max(0, start - position) : None if end is None else end - position]
        position += piece.shape[1]
        if wanted.shape[1]:
            yield wanted
        if end is not None and position >= end:
            return
    if position <= start and start:
        rate = info.sample_rate
        raise UsageError(
            f"{info.path.name} was asked for from {clock(start / rate)} on; "
            f"it ends at {clock(position / rate)}"
        )


def _in_blocks(pieces: Iterator[Array], length: int) -> Iterator[Array]:
    """The same samples in pieces of one length, the last one shorter."""
    kept: list[Array] = []
    have = 0
    for piece in pieces:
        kept.append(piece)
        have += piece.shape[1]
        if have >= length:
            whole = np.concatenate(kept, 1)
            ready = have - have % length
            for start in range(0, ready, length):
                yield whole[:, start : start + length]
            kept, have = [whole[:, ready:]], have - ready
    if have:
        yield np.concatenate(kept, 1)
