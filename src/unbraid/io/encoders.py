"""Encoders over FFmpeg (flac, m4a) and libsndfile (mp3, ogg, opus): frames in, a file out.

libsndfile has LAME, whose header is exact for a single sample too; libvorbis, which FFmpeg's own Vorbis
encoder is no match for; and libopus in the right order of channels, which FFmpeg 8 mixes up for five and
seven of them.
"""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import soundfile
from av.stream import Disposition

from unbraid.io.layouts import default_layout, vorbis_positions
from unbraid.io.tags import id3

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from unbraid.io.disk import Draft
    from unbraid.io.formats import OutputFormat
    from unbraid.io.tags import Picture

# Samples given to libsndfile at once, always: its Vorbis encoder puts a write on the stack, which a long one
# overruns, and libvorbis chooses its windows by what it has been given.
_AT_ONCE = 16384

_OTHER_AAC_LAYOUTS = (
    ("FL", "FR", "LFE"),
    ("FL", "FR", "FC", "BC"),
)  # that AAC can name, besides the defaults

# Nominal bit rates in kb/s of libvorbis' qualities 0 to 1 in steps of 0.1, for stereo at 44.1 kHz.
_VORBIS_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)

# Least sample rate, least and greatest bit rate in kb/s of MPEG-1, 2 and 2.5 layer III.
_MP3_KBPS = ((32000, 32, 320), (16000, 8, 160), (0, 8, 64))


class FfmpegEncoder:
    """Frames into flac or m4a.

    Args:
        draft: What is written to.
        format: Resolved.
        sample_rate: One that the format takes, in Hz.
        layout: A loudspeaker's name for each channel.
        tags: Of the file.
        cover: Of the file.
    """

    def __init__(
        self,
        draft: Draft,
        format: OutputFormat,  # noqa: A002 - the option's name everywhere
        *,
        sample_rate: int,
        layout: tuple[str, ...],
        tags: Mapping[str, str],
        cover: Picture | None,
    ) -> None:
        flac = format.name == "flac"
        # The edit list counts in samples, not in milliseconds: that is what makes an m4a's length exact.
        options = {} if flac else {"movie_timescale": str(sample_rate), "brand": "M4A "}
        if not flac and layout not in _OTHER_AAC_LAYOUTS:
            layout = default_layout(len(layout))
        self._layout, self._rate, self._position = "+".join(layout), sample_rate, 0
        self._samples = {"16": "s16", "24": "s32", None: "flt"}[format.bits]
        file = cast("Any", draft)
        container: Any = av.open(file, "w", format="flac" if flac else "mp4", options=options)
        self._container = container
        self._container.metadata.update(tags)
        codec = "flac" if flac else "aac"
        # Intensity stereo would fold wide stems: 5 dB worse on independent channels, no gain on songs.
        coding = {} if flac else {"aac_is": "0"}
        self._stream = container.add_stream(codec, rate=sample_rate, layout=self._layout, options=coding)
        if flac:
            self._stream.codec_context.format = self._samples
        else:
            self._stream.bit_rate = 1000 * format.bitrate(len(layout))
        self._begin(cover)

    def write(self, frames: npt.NDArray[Any]) -> None:
        """Write `(n, channels)`: int16, int32 with its bits at the top, or float32."""
        # Interleaved, because PyAV miscounts the planes of a planar frame of eight channels.
        frame = av.AudioFrame.from_ndarray(frames.reshape(1, -1), format=self._samples, layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += len(frames)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left and complete the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of a file that will not be kept."""
        with contextlib.suppress(av.error.FFmpegError):
            self._container.close()

    def _begin(self, cover: Picture | None) -> None:
        """Write the header, and the cover as the one packet of a stream of its own."""
        if not cover:
            self._container.start_encoding()
            return
        shown = self._container.add_stream(cover.codec)
        shown.width, shown.height = cover.width, cover.height
        shown.pix_fmt = "rgb24" if cover.codec == "png" else "yuvj420p"  # for an encoder that is never run
        shown.disposition = Disposition.attached_pic.value  # PyAV before 17.1 takes only the number
        self._container.start_encoding()
        packet = av.Packet(cover.data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = shown, 0, 0, True
        self._container.mux(packet)


class SndfileEncoder:
    """Frames into mp3, ogg or opus.

    Args:
        draft: What is written to.
        format: Resolved.
        sample_rate: One that the format takes, in Hz.
        channels: How many.
        tags: Of an mp3; those of ogg and opus are put in afterwards.
        cover: As the tags.
    """

    def __init__(
        self,
        draft: Draft,
        format: OutputFormat,  # noqa: A002 - the option's name everywhere
        *,
        sample_rate: int,
        channels: int,
        tags: Mapping[str, str],
        cover: Picture | None,
    ) -> None:
        kbps, order = format.bitrate(channels), vorbis_positions(channels)
        mode = None
        if format.name == "mp3":
            draft.begin(id3(tags, cover))
            container, codec, mode, level = "MP3", "MPEG_LAYER_III", "CONSTANT", _mp3_level(kbps, sample_rate)
        elif format.name == "ogg":
            container, codec, level = "OGG", "VORBIS", _vorbis_level(2 * kbps / max(2, channels))
        else:
            container, codec, level = "OGG", "OPUS", _opus_level(kbps / channels)
        self._kept = np.empty((0, channels), np.float32)
        self._order = [order.index(place) for place in range(channels)]
        self._sound = soundfile.SoundFile(
            draft,
            "w",
            samplerate=sample_rate,
            channels=channels,
            format=container,
            subtype=codec,
            bitrate_mode=mode,
            compression_level=level,
        )

    def write(self, frames: npt.NDArray[Any]) -> None:
        """Write `(n, channels)` in float32."""
        self._kept = np.concatenate([self._kept, frames[:, self._order]])
        while len(self._kept) >= _AT_ONCE:
            self._sound.write(self._kept[:_AT_ONCE])
            self._kept = self._kept[_AT_ONCE:]

    def close(self) -> None:
        """Write what is left and complete the file."""
        self._sound.write(self._kept)
        self._sound.close()

    def abandon(self) -> None:
        """Let go of a file that will not be kept."""
        self._sound.close()


def _mp3_level(kbps: int, sample_rate: int) -> float:
    """The compression level libsndfile takes: the bit rate goes down with it."""
    least, greatest = next(limits for at_least, *limits in _MP3_KBPS if sample_rate >= at_least)
    # It cuts the rate down to whole kb/s, so half a kb/s more is asked for.
    return float(np.clip((greatest - kbps - 0.5) / (greatest - least), 0, 0.999))


def _vorbis_level(kbps: float) -> float:
    """The compression level libsndfile takes: 1 minus libvorbis' quality."""
    return 1 - float(np.interp(kbps, _VORBIS_KBPS, np.linspace(0, 1, len(_VORBIS_KBPS))))


def _opus_level(kbps: float) -> float:
    """The compression level libsndfile takes: each channel gets from 256 down to 6 kb/s."""
    return 1 - float(np.clip((kbps - 6) / 250, 0, 1))
