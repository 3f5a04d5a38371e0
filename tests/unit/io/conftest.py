"""Files to read: encoded by FFmpeg itself, so that our reader is not only tested with our writer."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
import torch


@pytest.fixture
def band_limited():
    """Noise below a third of the sample rate's half, as every codec keeps it; alike for equal lengths."""

    def make(length, *, channels=2, gain=0.1, share=0.3):
        noise = torch.randn(channels, length, generator=torch.Generator().manual_seed(length))
        spectrum = torch.fft.rfft(noise)
        spectrum[:, max(1, int(share * spectrum.shape[1])) :] = 0
        samples = torch.fft.irfft(spectrum, length)
        return gain * samples / samples.std().clamp_min(1e-9) if length > 1 else gain * noise

    return make


@pytest.fixture
def lag():
    """How many samples later one signal is than another."""

    def measure(found, wanted):
        size = 2 * max(len(found), len(wanted))
        spectrum = torch.fft.rfft(found.double(), size) * torch.fft.rfft(wanted.double(), size).conj()
        best = int(torch.fft.irfft(spectrum, size).argmax())
        return best if best < size // 2 else best - size

    return measure


@pytest.fixture
def encode():
    """Encode samples with FFmpeg: codec, container and options as its own command takes them."""

    def run(path, samples, rate, codec, container, *, layout="stereo", kbps=None, options=None, film=False):
        with av.open(str(path), "w", format=container, options=options or {}) as file:
            stream = file.add_stream(codec, rate=rate, layout=layout)
            if kbps:
                stream.bit_rate = 1000 * kbps
            if film:
                _add_film(file)
            file.start_encoding()
            for start in range(0, samples.shape[1], 5000):
                block = np.ascontiguousarray(samples[:, start : start + 5000].T.numpy())
                frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return path

    return run


def _add_film(file):
    film = file.add_stream("mpeg4", rate=25)
    film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
    for index in range(5):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), "u1"), format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        file.mux(film.encode(frame))
    file.mux(film.encode(None))


@pytest.fixture(scope="session")
def png():
    """A picture of 8 × 8 pixels, big enough in bytes to need several Ogg pages."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = b"".join(b"\x00" + b"\xff\x00\x00" * 8 for _ in range(8))
    ballast = chunk(b"tEXt", b"Comment\x00" + bytes(range(32, 127)) * 1500)
    body = chunk(b"IHDR", header) + ballast + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture(scope="session")
def jpeg(tmp_path_factory):
    """A JPEG of 16 × 16 pixels."""
    path = tmp_path_factory.mktemp("cover") / "cover.jpg"
    with av.open(str(path), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 80, "u1"), format="rgb24")
        file.mux(stream.encode(frame.reformat(format="yuvj420p")))
        file.mux(stream.encode(None))
    return path.read_bytes()
