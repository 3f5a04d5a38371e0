"""Ours against the published implementation on real songs, whole track, same weights.

For each song: SNR between the two answers, and each stem's SDR against the true stems by both.

    python benchmarks/parity.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems; where a song has no bass of its own, bass
and other are scored together.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs as Published

import unbraid
from machine import store
from unbraid.metrics.ratios import sdr
from unbraid.networks.htdemucs import Config

STEMS = {"vocals": ("vocals",), "drums": ("drums",), "bass+other": ("bass", "other")}


def published_network(ours: torch.nn.Module) -> Published:
    """The published class with our weights."""
    config = ours.config
    assert isinstance(config, Config)
    network: Published = Published(
        list(config.sources),
        segment=config.segment,
        bottom_channels=config.bottom_channels,
        t_layers=config.t_layers,
        depth=config.depth,
        dconv_mode=3,
        samplerate=config.sample_rate,
    )
    network.load_state_dict(ours.state_dict())
    network.eval()
    return network


def published_answer(network: Published, mixture: torch.Tensor) -> torch.Tensor:
    """What the published front end does: level by mono mean and deviation, apply, level back."""
    mono = mixture.mean(0)
    levelled = (mixture - mono.mean()) / (mono.std() + 1e-8)
    estimates = apply_model(network, levelled[None], shifts=0, overlap=0.25, split=True)[0]
    return estimates * (mono.std() + 1e-8) + mono.mean()


def snr(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Energy of the reference over that of the difference, in dB."""
    difference = (reference.double() - other.double()).square().sum()
    return float(10 * (reference.double().square().sum() / difference).log10())


def reference(folder: Path, sources: tuple[str, ...]) -> torch.Tensor:
    """The true stem: the sum of the files there are among `sources`."""
    files = [folder / f"{source}.flac" for source in sources]
    return torch.stack([unbraid.read(file).samples for file in files if file.exists()]).sum(0)


def scores(folder: Path, estimates: torch.Tensor, sources: tuple[str, ...]) -> dict[str, float]:
    """SDR of each stem in dB."""
    found = {}
    for stem, members in STEMS.items():
        estimate = estimates[[sources.index(member) for member in members]].sum(0)
        found[stem] = round(sdr(reference(folder, members), estimate).item(), 4)
    return found


def main(folder: Path, songs: list[str]) -> None:
    """Score every song of the folder and store the table."""
    published = published_network(unbraid.load("htdemucs"))
    sources = tuple(published.sources)
    rows = {}
    with unbraid.Separator("htdemucs") as separator:
        for song in songs or sorted(path.name for path in folder.iterdir()):
            path = folder / song / "mixture.flac"
            began = time.perf_counter()
            ours = separator.separate(path).samples
            middle = time.perf_counter()
            theirs = published_answer(published, unbraid.read(path).samples)
            seconds = (middle - began, time.perf_counter() - middle)
            rows[song] = {
                "snr_db": round(snr(theirs, ours), 2),
                "sdr_db": {
                    "unbraid": scores(folder / song, ours, sources),
                    "demucs": scores(folder / song, theirs, sources),
                },
                "time_ratio_demucs_over_unbraid": round(seconds[1] / seconds[0], 3),
            }
            print(song, rows[song], flush=True)
    # Of a folder only its name: where it lies on this machine says nothing to others.
    print(store("parity", rows, [Path(argument).name for argument in sys.argv[1:]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
