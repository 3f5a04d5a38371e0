"""Tiny data sets in every layout: two songs each, a second long, noise of different seeds."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import soundfile
import yaml

from signals import noise

RATE = 8000
LENGTH = 8000
FOUR = ("vocals", "drums", "bass", "other")


def sound(seed, *, channels=2, length=LENGTH):
    """Noise on a grid of 2^-15, so that files of 16 bits hold it, and sums of a few, exactly."""
    return (noise(length, channels=channels, gain=0.05, seed=seed) * 32768).round().clamp(-8000, 8000) / 32768


def save(path, samples, *, rate=RATE, subtype=None):
    """Write samples as the suffix says, in 16 bits unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T.numpy(), rate, subtype=subtype or "PCM_16")
    return path


def save_streams(path, signals, *, rate=44100):
    """A .stem.mp4: each signal a stream of AAC, as FFmpeg encodes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as file:
        streams = [file.add_stream("aac", rate=rate, layout="stereo") for _ in signals]
        file.start_encoding()
        for stream, samples in zip(streams, signals, strict=True):
            block = np.ascontiguousarray(samples.T.numpy()).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


def four():
    """Four sources by name."""
    return {source: sound(seed) for seed, source in enumerate(FOUR)}


def save_four(folder, mixtures=None, suffix="wav"):
    """A song as MUSDB18-HQ has it; DSD100 keeps the mixture elsewhere."""
    sources = four()
    for source, samples in sources.items():
        save(folder / f"{source}.{suffix}", samples)
    save((mixtures or folder) / f"mixture.{suffix}", sum(sources.values()))


def musdb18hq(root, suffix="wav"):
    for split in ("train", "test"):
        save_four(root / split / "A - Song", suffix=suffix)


def dsd100(root):
    for split in ("Dev", "Test"):
        save_four(root / "Sources" / split / "001 - A", root / "Mixtures" / split / "001 - A")


def stems(root):
    for song in ("one", "two"):
        save_four(root / song, suffix="flac")


def moisesdb(root):
    for name in ("aa11", "bb22"):
        folder = root / "moisesdb_v0.1" / name
        parts = {"vocals": 2, "drums": 1, "other_keys": 1}
        about = []
        for stem, count in parts.items():
            recordings = [{"id": f"{stem}-{at}", "extension": "wav", "trackType": "x"} for at in range(count)]
            about.append({"id": "s", "stemName": stem, "tracks": recordings})
            for at in range(count):
                save(folder / stem / f"{stem}-{at}.wav", sound(10 * len(stem) + at))
        facts = {"song": "Song", "artist": name.upper(), "genre": "rock", "stems": about}
        (folder / "data.json").write_text(json.dumps(facts))


def slakh2100(root):
    for split in ("train", "validation"):
        folder = root / split / "Track00001"
        classes = {
            "S00": "Guitar",
            "S01": "Bass",
            "S02": "Strings (continued)",
            "S03": "Guitar",
            "S04": "Drums",
        }
        stems = {key: {"inst_class": kind, "audio_rendered": key != "S04"} for key, kind in classes.items()}
        signals = {key: sound(at, channels=1) for at, key in enumerate(classes) if key != "S04"}
        for key, samples in signals.items():
            save(folder / "stems" / f"{key}.flac", samples)
        save(folder / "mix.flac", sum(signals.values()))
        (folder / "metadata.yaml").write_text(yaml.safe_dump({"UUID": "u", "stems": stems}))


def medleydb(root):
    instruments = {"S01": "male singer", "S02": "drum set", "S03": ["piano", "fx/processed sound"]}
    for song in ("ArtistA_One", "ArtistB_Two"):
        folder = root / "Audio" / song
        signals = [sound(at) for at in range(3)]
        facts = {}
        for at, (key, instrument) in enumerate(instruments.items()):
            file = f"{song}_STEM_0{at + 1}.wav"
            facts[key] = {"filename": file, "instrument": instrument, "component": ""}
            save(folder / f"{song}_STEMS" / file, signals[at])
        save(folder / f"{song}_MIX.wav", sum(signals))
        (folder / f"{song}_METADATA.yaml").write_text(yaml.safe_dump({"title": song, "stems": facts}))


LOSSLESS = {
    "musdb18hq": musdb18hq,
    "dsd100": dsd100,
    "stems": stems,
    "moisesdb": moisesdb,
    "slakh2100": slakh2100,
    "medleydb": medleydb,
}
