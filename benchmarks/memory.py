"""Peak memory of the whole process, from file to stems, for a short and a long recording.

    python benchmarks/memory.py [MINUTES ...]            default: 5 60

The recording is seeded synthetic music; peak memory is what the operating system counted for the process.
It varies from run to run by what the allocator makes of it, so runs are added to those of the same machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from machine import FOLDER, machine, store
from unbraid.io.formats import OutputFormat
from unbraid.io.write import Writer

RATE = 44100


def write_song(path: Path, minutes: float) -> None:
    """Chords, a beat and a noise floor, written second by second."""
    generator = torch.Generator().manual_seed(1)
    time_axis = torch.arange(RATE) / RATE
    beat = torch.exp(-30 * (time_axis % 0.5)) * torch.randn(RATE, generator=generator)
    seconds = round(minutes * 60)
    with Writer(
        path,
        OutputFormat("flac", bits="16"),
        sample_rate=RATE,
        channels=2,
        layout=("FL", "FR"),
        length=seconds * RATE,
        tags={},
        cover=None,
    ) as writer:
        for second in range(seconds):
            root = 110 * 2 ** ((second // 2 % 4 * 5 % 12) / 12)
            chord = sum(torch.sin(2 * torch.pi * root * ratio * time_axis) for ratio in (1, 1.25, 1.5, 2.0))
            left = 0.1 * chord + 0.2 * beat + 0.002 * torch.randn(RATE, generator=generator)
            right = 0.12 * chord + 0.15 * beat + 0.002 * torch.randn(RATE, generator=generator)
            writer.write(torch.stack([left, right]))


def measure(song: Path, out: Path, minutes: float, model: str = "htdemucs") -> dict[str, float]:
    """Run the command line on a song; its peak resident memory and its real-time factor."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "unbraid", str(song), "--model", model, "--out", str(out), "--quiet"]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - began
    if status:
        raise SystemExit(f"the separation of {minutes:g} minutes by {model} failed with status {status}")
    return {
        "minutes": minutes,
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1),  # Linux counts in KiB
        "rtf": round(elapsed / (minutes * 60), 4),
    }


def earlier() -> list[dict[str, float]]:
    """The runs that were stored on this machine."""
    path = FOLDER / "memory.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    rows: list[dict[str, float]] = stored["results"] if stored.get("machine") == machine() else []
    return rows


def main(minutes: list[float]) -> None:
    """Measure each length in a process of its own and store the table."""
    rows = earlier()
    with tempfile.TemporaryDirectory() as folder:
        for run, length in enumerate(minutes):
            song = Path(folder) / f"{run}.flac"
            write_song(song, length)
            rows.append(measure(song, Path(folder) / f"stems-{run}", length))
            print(rows[-1], flush=True)
            store("memory", rows, [f"{row['minutes']:g}" for row in rows])


if __name__ == "__main__":
    main([float(argument) for argument in sys.argv[1:]] or [5, 60])
