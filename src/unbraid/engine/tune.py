"""Tune: which runtime is fastest for a network on this machine, found by trying, and remembered.

One segment is separated by each candidate. What was found holds until the machine, the network, a version
or the question changes, and is kept in a file that a person can read:

    {"<key>": {"model": "htdemucs", "chosen": {…}, "trials": [{…, "seconds": 3.1}, …], "passed_over": {…}}}
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unbraid._version import __version__
from unbraid.engine.backends.choose import backend, candidates
from unbraid.engine.runtime import Engine, Precision, Runtime
from unbraid.errors import UnbraidError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unbraid.engine.backends.base import Backend
    from unbraid.engine.backends.choose import Loaded

_RUNS = 2  # of each candidate after the first, of which the faster counts


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate, tried.

    Args:
        runtime: The candidate.
        seconds: For one segment; None: it failed.
        first_seconds: For the first, with all that is made once.
        failure: Why it failed; empty if it did not.
    """

    runtime: Runtime
    seconds: float | None
    first_seconds: float | None = None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the file keeps it."""
        shown: dict[str, Any] = {
            "engine": self.runtime.engine.value,
            "precision": self.runtime.precision.value,
            "threads": self.runtime.threads,
        }
        if self.seconds is None:
            return {**shown, "failure": self.failure}
        return {**shown, "seconds": round(self.seconds, 4), "first_seconds": self.first_seconds}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a network is run by.

    Args:
        runtime: With nothing left open.
        seconds: That a segment takes; None: not measured.
    """

    runtime: Runtime
    seconds: float | None = None


def choose(
    loaded: Loaded,
    runtime: Runtime,
    *,
    name: str,
    identity: str,
    memory: Path | None,
    on_try: Callable[[int, int], None] | None = None,
) -> Choice:
    """The fastest runtime for a network, as far as a runtime leaves it open.

    Args:
        loaded: The network.
        runtime: What is asked for.
        name: Of the model, for a person who reads the file.
        identity: Of the weights; empty: nothing is tried, and PyTorch runs the network.
        memory: File in which findings are kept; None: nothing is tried.
        on_try: Told how many candidates are done, and of how many.

    Raises:
        MachineError: If this machine lacks what is asked for.
        UsageError: If what is asked for does not fit together.
    """
    found, passed_over = candidates(loaded, runtime)
    if len(found) == 1 or not identity or memory is None:
        return Choice(found[0])
    key = _key(identity, loaded.length, found)
    known = _read(memory).get(key)
    if known is not None:
        return _remembered(known, found)
    trials = _tried(loaded, found, on_try)
    best = _best(trials)
    if best is None:
        return Choice(found[0])  # its own error says more than ours could
    trials += [
        try_one(loaded, dataclasses.replace(best.runtime, threads=threads))
        for threads in other_threads(best.runtime)
    ]
    best = _best(trials) or best
    _write(
        memory,
        key,
        {
            "model": name,
            "chosen": best.to_json(),
            "trials": [trial.to_json() for trial in trials],
            "passed_over": passed_over,
        },
    )
    return Choice(best.runtime, best.seconds)


def findings(memory: Path) -> list[Mapping[str, Any]]:
    """All that was found on this machine, as the file has it; none if it cannot be read."""
    return list(_read(memory).values())


def try_one(loaded: Loaded, runtime: Runtime) -> Trial:
    """How long a network takes for one segment.

    Args:
        loaded: The network; it stays whole.
        runtime: With nothing left open.
    """
    generator = torch.Generator().manual_seed(0)
    spec = loaded.spec
    segment = 0.1 * torch.randn(1, spec.channels, loaded.length, generator=generator)
    try:
        runner = backend(loaded, runtime)
        try:
            first = _timed(runner, segment)
            return Trial(runtime, min(_timed(runner, segment) for _ in range(_RUNS)), round(first, 2))
        finally:
            runner.close()
    except UnbraidError as error:
        return Trial(runtime, None, failure=str(error))


def _tried(
    loaded: Loaded, runtimes: Sequence[Runtime], on_try: Callable[[int, int], None] | None
) -> list[Trial]:
    trials = []
    for index, runtime in enumerate(runtimes):
        if on_try:
            on_try(index, len(runtimes))
        trials.append(try_one(loaded, runtime))
    if on_try:
        on_try(len(runtimes), len(runtimes))
    return trials


def _timed(runner: Backend, segment: torch.Tensor) -> float:
    began = time.perf_counter()
    runner.run(segment)
    return time.perf_counter() - began


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The fastest; None if all failed."""
    done = [(trial.seconds, trial) for trial in trials if trial.seconds is not None]
    return min(done, key=lambda entry: entry[0])[1] if done else None


def other_threads(runtime: Runtime) -> tuple[int, ...]:
    """How many threads to try besides PyTorch's own choice, which is one for each core.

    Where cores run two threads each, that many may be faster or slower, as the network's layers have it.
    """
    if runtime.threads is not None or runtime.torch_device().type != "cpu":
        return ()
    own, all_of_them = torch.get_num_threads(), usable_processors()
    return (all_of_them,) if all_of_them > own else ()


def usable_processors() -> int:
    """What this process may run on, of what the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remembered(known: Mapping[str, Any], found: Sequence[Runtime]) -> Choice:
    chosen = known["chosen"]
    engine, precision = Engine(chosen["engine"]), Precision(chosen["precision"])
    runtime = dataclasses.replace(found[0], engine=engine, precision=precision, threads=chosen["threads"])
    return Choice(runtime, chosen["seconds"])


def _key(identity: str, length: int, found: Sequence[Runtime]) -> str:
    """Changes with all that an answer depends on."""
    machine = [platform.machine(), processor(), str(os.cpu_count())]
    versions = [__version__, torch.__version__]
    asked = [f"{r.device} {r.engine.value} {r.precision.value} {r.threads} {r.keep_pages}" for r in found]
    text = "\n".join([identity, str(length), *machine, *versions, *asked])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def processor() -> str:
    """What the processor calls itself; `platform` knows only its family on Linux."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor()


def _read(memory: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):  # what cannot be read is found again
        read = json.loads(memory.read_text(encoding="utf-8"))
        return read if isinstance(read, dict) else {}
    return {}


def _write(memory: Path, key: str, entry: Mapping[str, Any]) -> None:
    """Add an entry, whole or not at all; a disk that refuses costs the trials again, and nothing else."""
    part = memory.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = json.dumps({**_read(memory), key: entry}, indent=1, ensure_ascii=False)
            part.write_text(text, encoding="utf-8")
            part.replace(memory)
        finally:
            part.unlink(missing_ok=True)
