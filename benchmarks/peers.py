"""Whole processes, from file to stems, beside those of others: time, memory, and how far answers are apart.

    python benchmarks/peers.py                                           every case, five pairs of each
    python benchmarks/peers.py --cases htdemucs,umxhq --pairs 1          try it out; one pair is not stored
    python benchmarks/peers.py --seconds 80                              less of the default song
    python benchmarks/peers.py --song song.wav --threads 1 -- --overlap 0.1      options of ours behind --

The default song is as long as most are: the excerpts that the tests use, one behind the other.

Each peer is installed by itself into an environment below `--cache`; PyTorch is the one that we use. Both
sides get the same song, the same weights and the same number of threads, and take turns in who goes first.
Ratios are formed pair by pair. The two runs before them are not timed: their stems are compared, ours made
in float32. Whatever we find out about this machine the first time is found before.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import unbraid
from machine import FOLDER, kept, store
from peer_cases import CASES, Case, Ready, agreement, prepare
from processes import cost_of
from unbraid.audio import Audio
from unbraid.io.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SIDES = ("unbraid", "peer")
ENOUGH = 5  # pairs, below which nothing is stored


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a process of its own: a child's peak begins with the memory of who starts it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def environments(threads: int) -> dict[str, dict[str, str]]:
    """What each side's process sees; both are told the threads in the same way."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    common = {**os.environ, **dict.fromkeys(names, str(threads))}
    return {"unbraid": common, "peer": {name: common[name] for name in common if name != "PYTHONPATH"}}


def commands(
    case: Case, ready: Ready, given: argparse.Namespace, out: Path, *, exact: bool = False
) -> dict[str, list[str]]:
    """Both sides' commands; exact: with stems that are not rounded."""
    ours = [sys.executable, "-m", "unbraid", "separate", str(given.song), "--model", ready.model, "--quiet"]
    ours += ["--out", str(out / "unbraid"), "--threads", str(given.threads), *given.options]
    theirs = case.command(ready.python, ready.weights, given.song, out / "peer")
    return {
        "unbraid": [*ours, *(["--float32", "--precision", "exact"] if exact else [])],
        "peer": [*theirs, *(case.float32 if exact else ())],
    }


def pair(
    commands: Mapping[str, Sequence[str]], sides: Sequence[str], threads: int, out: Path
) -> dict[str, dict[str, float]]:
    """Run both, in this order; their stems stay in `out`."""
    costs = {}
    for side in sides:
        shutil.rmtree(out / side, ignore_errors=True)
        (out / side).mkdir()
        cost = cost_of(commands[side], environments(threads)[side], out / f"{side}.log")
        costs[side] = cost.to_json()
    return costs


def compared(name: str, given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """A row: all pairs of a case."""
    case = CASES[name]
    ready = apart(prepare, name, given.cache)
    row = {
        "case": name,
        "peer": str(case.peer),
        "remark": case.remark,
        "weights": "published" if ready.published else "seeded",
        "song": given.song.name,
        "song_seconds": round(probe(given.song).duration_seconds or 0, 1),
        "threads": given.threads,
        "options": given.options,
    }
    exact = commands(case, ready, given, scratch, exact=True)
    pair(exact, SIDES, given.threads, scratch)
    row["snr_db"] = (
        None
        if case.plain
        else apart(partial(agreement, *(scratch / side for side in SIDES), rescaled=case.rescales))
    )
    usual = commands(case, ready, given, scratch)
    pair(usual, SIDES[:1], given.threads, scratch)  # which may try backends first
    row["pairs"] = []
    for number in range(given.pairs):
        order = SIDES if number % 2 == 0 else SIDES[::-1]
        row["pairs"].append(pair(usual, order, given.threads, scratch))
        print(f"  {row['pairs'][-1]}", flush=True)
    return {**row, "times_faster": ratio(row["pairs"], "seconds"), "memory": ratio(row["pairs"], "peak_mb")}


def ratio(pairs: Sequence[Mapping[str, Mapping[str, float]]], figure: str) -> dict[str, float]:
    """The peer's figure by ours: median, least and greatest over the pairs."""
    ratios = [both["peer"][figure] / both["unbraid"][figure] for both in pairs]
    found = {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def others(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows that are stored already and are not measured again by this one."""
    same = ("case", "song", "threads", "options")
    return [old for old in kept("peers") if any(old[key] != row[key] for key in same)]


def default_song(seconds: float | None, cache: Path) -> Path:
    """The songs that the tests use, one behind the other."""
    sys.path.append(str(FOLDER.parent / "tests"))
    folder: Path = importlib.import_module("conftest").SONGS
    songs = [unbraid.read(path) for path in sorted(folder.glob("*/mixture.flac"))]
    if not songs:
        raise SystemExit(f"there is no song below {folder}; name one with --song")
    rate = songs[0].sample_rate
    samples = torch.cat([song.samples for song in songs], -1)
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / "song.flac"
    unbraid.write(Audio(samples if seconds is None else samples[:, : round(seconds * rate)], rate), place)
    return place


def main(given: argparse.Namespace) -> None:
    """Compare, and store the rows."""
    for name in given.cases:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            row = compared(name, given, Path(scratch))
        print(json.dumps({key: value for key, value in row.items() if key != "pairs"}), flush=True)
        if given.pairs >= ENOUGH:
            rows = sorted([*others(row), row], key=lambda one: list(CASES).index(one["case"]))
            store("peers", rows, ["--pairs", str(given.pairs)], beside=True)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """What was asked for; options of ours stand behind a lone `--`."""
    own = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), metavar="A,B")
    parser.add_argument("--pairs", type=int, default=ENOUGH, metavar="N")
    parser.add_argument("--song", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, metavar="SECONDS")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--cache", type=Path, default=FOLDER.parent / "build/peers", metavar="FOLDER")
    given = parser.parse_args(words[:own])
    unknown = [name for name in given.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if given.song is None:
        given.song = default_song(given.seconds, given.cache)
    if not given.song.exists():
        parser.error(f"there is no song {given.song}; name one with --song")
    if given.pairs < 1 or given.threads < 1:
        parser.error("--pairs and --threads start at 1")
    given.options = list(words[own + 1 :])
    return given


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
