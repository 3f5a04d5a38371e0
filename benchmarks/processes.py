"""What a whole process costs: time on the clock and on the processor, memory of it and its children."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAUSE = 0.05  # seconds between two looks at the memory
_SHOWN = 2000  # characters of what a failed process said


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process cost.

    Args:
        seconds: From its start to its end.
        cpu_seconds: Of all its threads and children.
        peak_mb: The most that it and its children held at once, in 10^6 bytes.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float

    def to_json(self) -> dict[str, float]:
        """Rounded to what can be relied on."""
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "peak_mb": round(self.peak_mb, 1),
        }


def cost_of(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command to its end; what it says goes into a file.

    The system keeps the peak of the largest process alone, so the sum over a process and its children is
    looked at every few hundredths of a second, too, and the larger of both is taken. Pages that two of them
    share count twice there.

    Raises:
        SystemExit: If the command fails; with the end of what it said.
    """
    held = [0]
    began = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=subprocess.STDOUT)
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, ended, held))
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            ended.set()
            watch.join()
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(errors="replace")[-_SHOWN:]
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    peak = max(usage.ru_maxrss * 1024, held[0])  # Linux counts in KiB
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6)


def _watch(root: int, ended: threading.Event, held: list[int]) -> None:
    """Keep the most bytes that a process and its children have held at once."""
    while not ended.wait(_PAUSE):
        held[0] = max(held[0], sum(map(_resident, _tree(root))))


def _tree(root: int) -> list[int]:
    """A process and all that it and its children have started."""
    found = [root]
    for process in found:  # it grows while it is walked
        for thread in Path(f"/proc/{process}/task").glob("*"):
            found += map(int, _read(thread / "children").split())
    return found


def _resident(process: int) -> int:
    """Bytes of memory that a process holds; 0 if it is gone."""
    pages = _read(Path(f"/proc/{process}/statm")).split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _read(path: Path) -> str:
    """What the system says there; nothing if the process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
