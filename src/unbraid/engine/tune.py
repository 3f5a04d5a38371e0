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

from unbraid.engine.backends.base import made_by
from unbraid.engine.backends.choose import backend, candidates
from unbraid.engine.memory import begin_peak, peak_bytes
from unbraid.engine.runtime import Engine, Precision, Runtime
from unbraid.errors import MachineError, UnbraidError, UsageError

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
        peak_bytes: That the process held meanwhile; None where the system does not tell.
    """

    runtime: Runtime
    seconds: float | None
    first_seconds: float | None = None
    failure: str = ""
    peak_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the file keeps it."""
        shown: dict[str, Any] = {
            "engine": self.runtime.engine.value,
            "precision": self.runtime.precision.value,
            "threads": self.runtime.threads,
            "keep_pages": self.runtime.keep_pages,
        }
        if self.seconds is None:
            return {**shown, "failure": self.failure}
        measured = {"seconds": round(self.seconds, 4), "first_seconds": self.first_seconds}
        return {**shown, **measured, "peak_bytes": self.peak_bytes}


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
        MachineError: If this machine lacks what is asked for, or memory.
        UsageError: If what is asked for does not fit together.
    """
    found, passed_over = candidates(loaded, runtime)
    limit = runtime.memory_bytes
    if limit is None and (len(found) == 1 or not identity or memory is None):
        return Choice(found[0])
    key = _key(identity, loaded.length, found)
    known = _remembered(_read(memory).get(key, {}), found) if memory and identity else []
    if known:
        return _chosen(known, limit, name)
    trials = _tried(loaded, found, on_try)
    best = _best(trials)
    if best is None:
        return Choice(found[0])  # its own error says more than ours could
    trials += [
        try_one(loaded, dataclasses.replace(best.runtime, threads=threads))
        for threads in other_threads(best.runtime)
    ]
    best = _best(trials) or best
    if memory and identity:
        entry = {
            "model": name,
            "chosen": best.to_json(),
            "trials": [trial.to_json() for trial in trials],
            "passed_over": passed_over,
        }
        _write(memory, key, entry)
    return _chosen(trials, limit, name)


def _chosen(trials: Sequence[Trial], limit: int | None, name: str) -> Choice:
    """The fastest of those that take no more memory than a limit."""
    able = [trial for trial in trials if limit is None or (trial.peak_bytes or limit + 1) <= limit]
    best = _best(able)
    if best is not None:
        return Choice(best.runtime, best.seconds)
    peaks = [trial.peak_bytes for trial in trials if trial.peak_bytes is not None]
    if not peaks:
        raise UsageError("a limit of memory was given; only Linux tells how much a network takes")
    raise MachineError(
        f"{name} takes at least {min(peaks) / 1e6:.0f} MB here, and {(limit or 0) / 1e6:.0f} MB were "
        "allowed; a shorter segment or a smaller network takes less"
    )


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
    is_its_own = begin_peak()
    try:
        runner = backend(loaded, runtime)
        try:
            first = _timed(runner, segment)
            seconds = min(_timed(runner, segment) for _ in range(_RUNS))
            return Trial(runtime, seconds, round(first, 2), peak_bytes=peak_bytes() if is_its_own else None)
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


def _remembered(known: Mapping[str, Any], found: Sequence[Runtime]) -> list[Trial]:
    """The trials that an entry of the file tells of; none of an entry of another time."""
    with contextlib.suppress(LookupError, TypeError, ValueError):
        return [
            Trial(
                dataclasses.replace(
                    found[0],
                    engine=Engine(trial["engine"]),
                    precision=Precision(trial["precision"]),
                    threads=trial["threads"],
                    keep_pages=trial["keep_pages"],
                ),
                trial.get("seconds"),
                trial.get("first_seconds"),
                trial.get("failure", ""),
                trial.get("peak_bytes"),
            )
            for trial in known["trials"]
        ]
    return []


def _key(identity: str, length: int, found: Sequence[Runtime]) -> str:
    """Changes with all that an answer depends on."""
    machine = [platform.machine(), processor(), str(os.cpu_count())]
    versions = [made_by(), torch.__version__]
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
