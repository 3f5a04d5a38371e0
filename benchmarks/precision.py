"""What each way of running a network costs in quality: SNR to PyTorch in float32, and the change of SDR.

    python benchmarks/precision.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems. Models whose published weights can be had
separate the first seconds of each; every backend and precision that this machine has is compared with
`--backend eager --precision exact`. bfloat16 runs in PyTorch here even on processors without units for it:
its rounding is the same, its speed is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import unbraid
from machine import store
from unbraid.audio import Audio
from unbraid.errors import UnbraidError
from unbraid.metrics.ratios import sdr, snr

SECONDS = 16
MODELS = {
    "htdemucs": {"vocals": ("vocals",), "drums": ("drums",), "bass+other": ("bass", "other")},
    "spleeter.2stems": {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "other")},
}
WAYS = (
    ("eager", "bfloat16"),
    ("eager", "float16"),
    ("openvino", "exact"),
    ("openvino", "bfloat16"),
    ("onnx", "exact"),
    ("onnx", "int8"),
    ("compiled", "exact"),
)


def excerpt(path: Path) -> Audio:
    """The first seconds of a file."""
    audio = unbraid.read(path)
    return Audio(audio.samples[:, : SECONDS * audio.sample_rate], audio.sample_rate)


def references(folder: Path, stems: dict[str, tuple[str, ...]]) -> dict[str, torch.Tensor]:
    """True stems: sums of the files there are."""
    found = {}
    for stem, members in stems.items():
        files = [folder / f"{member}.flac" for member in members]
        found[stem] = torch.stack([excerpt(file).samples for file in files if file.exists()]).sum(0)
    return found


def answer(model: str, mixture: Audio, backend: str, precision: str) -> dict[str, torch.Tensor]:
    """Estimates by one way, grouped as they are scored."""
    estimates = unbraid.separate(mixture, model, backend=backend, precision=precision, offline=False)
    return {
        stem: torch.stack([estimates[member].samples for member in members if member in estimates]).sum(0)
        if stem not in estimates
        else estimates[stem].samples
        for stem, members in MODELS[model].items()
    }


def compared(model: str, songs: list[Path], backend: str, precision: str) -> dict[str, object]:
    """The least SNR of any stem and the largest change of SDR of any stem of any song."""
    least, change = float("inf"), 0.0
    for song in songs:
        mixture, true = excerpt(song / "mixture.flac"), references(song, MODELS[model])
        exact = answer(model, mixture, "eager", "exact")
        other = answer(model, mixture, backend, precision)
        for stem, reference in true.items():
            least = min(least, snr(exact[stem], other[stem]).item())
            before, after = sdr(reference, exact[stem]).item(), sdr(reference, other[stem]).item()
            change = max(change, abs(after - before))
    return {"least SNR, in dB": round(least, 1), "largest change of SDR, in dB": round(change, 5)}


def main(folder: Path, names: list[str]) -> None:
    """Compare every way and store the table."""
    songs = [folder / name for name in names] or sorted(path for path in folder.iterdir() if path.is_dir())
    rows = []
    for model in MODELS:
        for backend, precision in WAYS:
            row: dict[str, object] = {"model": model, "backend": backend, "precision": precision}
            try:
                row |= compared(model, songs, backend, precision)
            except UnbraidError as error:
                row["cannot"] = str(error)
            rows.append(row)
            print(row, flush=True)
    results = {"seconds": SECONDS, "songs": [song.name for song in songs], "rows": rows}
    store("precision", results, [folder.name, *names])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
