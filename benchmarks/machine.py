"""Where the figures of a benchmark are kept, with the machine that they come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from unbraid.bench.machine import machine

__all__ = ["FOLDER", "kept", "machine", "runs", "store"]

FOLDER = Path(__file__).parent


def kept(name: str) -> list[dict[str, Any]]:
    """Rows that are stored already, if they are of this machine."""
    here = machine()
    stored = runs(FOLDER / f"{name}.json")
    rows: list[dict[str, Any]] = next((run["results"] for run in stored if run["machine"] == here), [])
    return rows


def runs(path: Path) -> list[dict[str, Any]]:
    """What a file holds, by machine, each with its command: the newest first; nothing if there is no file."""
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
        content["elsewhere"] = [run for run in runs(path) if _place(run["machine"]) != _place(here)]
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def _place(machine: dict[str, Any]) -> tuple[Any, ...]:
    """A machine whatever runs on it."""
    return machine["processor"], machine["cores"]
