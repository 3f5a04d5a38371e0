"""What each way of running a network costs in quality: SNR to PyTorch in float32, and the loss of SDR.

    python benchmarks/precision.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems. Models whose published weights can be had
separate the first seconds of each; every backend and precision that this machine has is compared with
`--backend eager --precision exact`. A processor without units for bfloat16 takes minutes for a second of it;
its rounding is then imitated: products of factors rounded to bfloat16, summed in float32 and rounded again,
as such units do.
"""

from __future__ import annotations

import functools
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import unbraid
from machine import store
from unbraid.audio import Audio
from unbraid.engine.backends.eager import has_half_units
from unbraid.engine.runtime import Runtime
from unbraid.errors import UnbraidError
from unbraid.metrics.ratios import sdr, snr

SECONDS = 16
MODELS = {
    "htdemucs": {"vocals": ("vocals",), "drums": ("drums",), "bass+other": ("bass", "other")},
    "spleeter.2stems": {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "other")},
}
PRODUCTS = {
    F.conv1d,
    F.conv2d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.linear,
    F.scaled_dot_product_attention,
    torch.bmm,
    torch.matmul,
    torch.Tensor.matmul,
}
WAYS = (
    ("eager" if has_half_units(Runtime("cpu")) else "imitated", "bfloat16"),
    ("openvino", "exact"),
    ("openvino", "bfloat16"),
    ("onnx", "exact"),
    ("onnx", "int8"),
)


class Rounded(TorchFunctionMode):
    """Within it products are taken as by units for bfloat16."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in PRODUCTS:
            return function(*args, **(kwargs or {}))
        factors = [rounded(value) if isinstance(value, torch.Tensor) else value for value in args]
        return rounded(function(*factors, **(kwargs or {})))


def rounded(value: torch.Tensor) -> torch.Tensor:
    """A tensor whose values are bfloat16's."""
    return value.bfloat16().float() if value.dtype == torch.float32 else value


def imitated(model: str) -> torch.nn.Module:
    """A network whose layers round their products."""
    network: Any = unbraid.load(model)
    layers = network.inner

    def inner(*features: torch.Tensor) -> Any:
        with Rounded():
            return layers(*features)

    network.inner = inner
    module: torch.nn.Module = network
    return module


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


@functools.cache
def exact_answer(model: str, song: Path) -> dict[str, torch.Tensor]:
    """What the others are compared with."""
    return answer(model, excerpt(song / "mixture.flac"), "eager", "exact")


def answer(model: str, mixture: Audio, backend: str, precision: str) -> dict[str, torch.Tensor]:
    """Estimates by one way, grouped as they are scored."""
    if backend == "imitated":
        estimates = unbraid.Separator(imitated(model)).separate(mixture)
    else:
        estimates = unbraid.separate(mixture, model, backend=backend, precision=precision)
    return {
        stem: torch.stack([estimates[member].samples for member in members if member in estimates]).sum(0)
        if stem not in estimates
        else estimates[stem].samples
        for stem, members in MODELS[model].items()
    }


def compared(model: str, songs: list[Path], backend: str, precision: str) -> dict[str, float]:
    """The least SNR of any stem, and by how much SDR falls: the worst mean of a stem, and the worst song."""
    least = float("inf")
    losses: dict[str, list[float]] = {stem: [] for stem in MODELS[model]}
    for song in songs:
        exact = exact_answer(model, song)
        other = answer(model, excerpt(song / "mixture.flac"), backend, precision)
        for stem, reference in references(song, MODELS[model]).items():
            least = min(least, snr(exact[stem], other[stem]).item())
            losses[stem].append(sdr(reference, exact[stem]).item() - sdr(reference, other[stem]).item())
    return {
        "least SNR, in dB": round(least, 1),
        "loss of SDR, mean over songs, in dB": round(max(map(statistics.fmean, losses.values())), 4),
        "loss of SDR, one song, in dB": round(max(map(max, losses.values())), 4),
    }


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
