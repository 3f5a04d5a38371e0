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
    path = FOLDER / f"{name}.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    rows: list[dict[str, Any]] = stored["results"] if stored.get("machine") == machine() else []
    return rows


def store(name: str, results: Any, arguments: list[str]) -> Path:
    """Write results with their machine and the command that made them."""
    path = FOLDER / f"{name}.json"
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])
    content = {"command": command, "machine": machine(), "results": results}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
