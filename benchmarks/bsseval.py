"""BSSEval beside museval: time, memory, and how far they are apart, each in a process of its own.

    python benchmarks/bsseval.py --museval PYTHON [--minutes 3] [--songs FOLDER]

PYTHON is the interpreter of an environment with museval 0.4.1, scipy and soundfile. Four stereo sources of
noise are scored by both with one thread and with as many as there are cores, then by Unbraid alone at four
times the length. FOLDER holds one folder a song with mixture.flac and true stems: ideal ratio masks of their
sum are scored by both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE = 44100
RATIOS = ("sdr", "isr", "sir", "sar")


def peak_mb() -> float:
    """The most memory this process has held; what getrusage says would count that of its parent, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def score(who: str, folder: Path) -> None:
    """In the child: score what lies in a folder, store the ratios, and say what it took."""
    references, estimates = (np.load(folder / f"{name}.npy") for name in ("references", "estimates"))
    if who == "unbraid":
        import torch

        module: Any = importlib.import_module("unbraid.metrics.bsseval")
        signals = [torch.from_numpy(signal) for signal in (references, estimates)]
    else:
        sys.path.append(str(Path(__file__).parents[1] / "tests/golden"))
        sys.path.append(str(Path(__file__).parents[1] / "tests/reference"))
        module = importlib.import_module("make_bsseval").museval_metrics()
        signals = [signal.transpose(0, 2, 1) for signal in (references, estimates)]
    loaded, began, cpu = peak_mb(), time.perf_counter(), time.process_time()
    if who == "unbraid":
        found = module.bsseval(*signals, RATE)
        ratios = np.stack([getattr(found, name).numpy() for name in RATIOS])
    else:
        ratios = np.stack(module.bss_eval(*signals, RATE, RATE)[:4])
    took = {
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mb": round(peak_mb()),
        "peak_beyond_signals_mb": round(peak_mb() - loaded),
    }
    np.save(folder / f"{who}.npy", ratios)
    print(json.dumps(took))


def run(who: str, python: str, folder: Path, threads: int) -> dict[str, float]:
    """Have a child score a folder."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    command = [python, __file__, "--score", who, str(folder)]
    answer = subprocess.run(command, env={**os.environ, **limits}, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(answer)
    return found


def both(museval: str, folder: Path, threads: int) -> dict[str, Any]:
    """What a folder took each, the ratio, and the largest difference of each of the four ratios."""
    row: dict[str, Any] = {"threads": threads}
    for who, python in (("unbraid", sys.executable), ("museval", museval)):
        row[who] = run(who, python, folder, threads)
    ours, theirs = (np.load(folder / f"{who}.npy") for who in ("unbraid", "museval"))
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    row["times_faster"] = round(row["museval"]["seconds"] / row["unbraid"]["seconds"], 1)
    row["apart_db"] = dict(zip(RATIOS, np.nanmax(np.abs(ours - theirs), (1, 2)).tolist(), strict=True))
    row["frames"] = int(np.isfinite(ours[0, 0]).sum())
    return row


def write_noise(folder: Path, minutes: float) -> None:
    """Four stereo sources, and estimates that leak and hiss."""
    generator = np.random.default_rng(0)
    references = 0.1 * generator.standard_normal((4, 2, round(minutes * 60 * RATE)), np.float32)
    references[:, 1] += references[:, 0]
    estimates = 0.9 * references + np.float32(0.05) * references.sum(0)
    estimates += np.float32(0.001) * generator.standard_normal(references.shape, np.float32)
    np.save(folder / "references.npy", references)
    np.save(folder / "estimates.npy", estimates)


def write_song(folder: Path, song: Path) -> None:
    """The true stems of a song that are not silent, and what ideal ratio masks make of their sum."""
    import torch

    import unbraid
    from unbraid.networks.classical.oracles import ideal_ratio_masks

    stems = [unbraid.read(path).samples for path in sorted(song.glob("*.flac")) if path.stem != "mixture"]
    references = torch.stack([stem for stem in stems if stem.any()])
    np.save(folder / "references.npy", references.numpy())
    np.save(folder / "estimates.npy", ideal_ratio_masks(references.sum(0), references).numpy())


def main(museval: str, minutes: float, songs: Path | None) -> None:
    """Measure, and store the table."""
    from machine import store

    results: dict[str, Any] = {"minutes": minutes}
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_noise(folder, minutes)
        results["noise"] = [both(museval, folder, threads) for threads in dict.fromkeys((1, cores))]
        write_noise(folder, 4 * minutes)
        results["four_times_longer"] = run("unbraid", sys.executable, folder, cores)
        for song in sorted(songs.iterdir()) if songs else []:
            write_song(folder, song)
            results.setdefault("songs", {})[song.name] = both(museval, folder, cores)
    print(json.dumps(results, indent=2))
    arguments = ["--museval", Path(museval).name, "--minutes", f"{minutes:g}"]
    store("bsseval", results, [*arguments, *(["--songs", songs.name] if songs else [])])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--score", nargs=2)
    parser.add_argument("--museval")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--songs", type=Path)
    given = parser.parse_args()
    if given.score:
        score(given.score[0], Path(given.score[1]))
    elif given.museval:
        main(given.museval, given.minutes, given.songs)
    else:
        parser.error("--museval PYTHON is needed")
