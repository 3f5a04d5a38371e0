"""An environment of its own for each peer, with this environment's PyTorch.

A peer gets the packages that it asks for, as its users do; PyTorch and what it stands on are lent from here.
So both sides compute with the same build, and nothing large is fetched.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another's program.

    Args:
        name: Of the package.
        version: That is compared with.
        alone: Whether it is installed without what it asks for, since it cannot have all of that.
        besides: What is installed with it.
    """

    name: str
    version: str
    alone: bool = False
    besides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def python_of(peer: Peer, cache: Path) -> str:
    """The Python that has a peer; the first time, its environment is made.

    Args:
        peer: Whose.
        cache: The folder that holds a folder for each.
    """
    place = (cache / f"{peer.name}-{peer.version}").resolve()
    python = place / "bin" / "python"
    ready = place / "ready"
    if not ready.exists():
        print(f"making an environment for {peer}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        _lend("torch", place)
        pip = [str(python), "-m", "pip", "install", "--only-binary", ":all:", "--disable-pip-version-check"]
        # The same NumPy for all, and only wheels: nothing of a peer is built here.
        numpy = f"numpy=={importlib.metadata.version('numpy')}"
        itself = f"{peer.name}=={peer.version}"
        if peer.alone:
            _run([*pip, "--no-deps", itself])
        _run([*pip, *([] if peer.alone else [itself]), numpy, *peer.besides])
        ready.touch()
    return str(python)


def _run(command: list[str]) -> None:
    """Run a command; what it says is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def _lend(name: str, place: Path) -> None:
    """Let an environment see a package of this one, and what that needs, behind its own packages."""
    lent = place / "lent"
    lent.mkdir()
    for part in _needed(name, set()):
        distribution = importlib.metadata.distribution(part)
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for top in tops:
            (lent / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    site = sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})
    (Path(site) / "lent.pth").write_text(f"{lent}\n")


def _needed(name: str, found: set[str]) -> set[str]:
    """A package that is installed here and all that it needs, as far as that is installed."""
    try:
        required = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return found
    found.add(name)
    for requirement in required:
        part = _NAME.match(requirement)
        if part and "extra ==" not in requirement and part[0] not in found:
            _needed(part[0], found)
    return found
