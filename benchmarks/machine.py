"""Where the figures of a benchmark are kept, with the machine that they come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from unbraid.bench.machine import machine

__all__ = ["FOLDER", "kept", "machine", "store"]

FOLDER = Path(__file__).parent


def kept(name: str) -> list[dict[str, Any]]:
    """Rows that are stored already, if they are of this machine."""
    rows: list[dict[str, Any]] = next(
        (run["results"] for run in _runs(name) if run["machine"] == machine()),
        [],
    )
    return rows


def _runs(name: str) -> list[dict[str, Any]]:
    """What is stored, each with its command and its machine: the newest first."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return []
    newest = json.loads(path.read_text(encoding="utf-8"))
    return [newest, *newest.pop("elsewhere", [])]


def store(name: str, results: Any, arguments: list[str], *, beside: bool = False) -> Path:
    """Write results with their machine and the command that made them.

    Args:
        name: Of the file.
        results: What JSON can say.
        arguments: Of the command.
        beside: Whether what was measured on other machines stays.
    """
    path, here = FOLDER / f"{name}.json", machine()
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])
    content = {"command": command, "machine": here, "results": results}
    if beside:
        content["elsewhere"] = [run for run in _runs(name) if _place(run["machine"]) != _place(here)]
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def _place(machine: dict[str, Any]) -> tuple[Any, ...]:
    """A machine whatever runs on it."""
    return machine["processor"], machine["cores"]
