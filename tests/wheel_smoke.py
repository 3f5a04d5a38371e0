"""What a stranger does first with the installed wheel; run in an environment that holds the wheel alone.

    python tests/wheel_smoke.py

Written without pytest, which such an environment has no reason to hold.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch

import unbraid

CHECKOUT = Path(__file__).resolve().parent.parent


class Halves(torch.nn.Module):
    """Two sources, each half of the mixture."""

    spec = unbraid.ModelSpec(("left", "right"), sample_rate=44100, channels=2, segment=44100)

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, time)` to `(batch, 2, channels, time)`."""
        return torch.stack([mixture / 2, mixture / 2], dim=1)


def unbraid_says(*arguments: str) -> str:
    """What the command line prints; anything but success ends the check."""
    command = [sys.executable, "-m", "unbraid", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Import, list, ask, and separate."""
    installed = Path(unbraid.__file__).resolve()
    assert CHECKOUT / "src" not in installed.parents, f"{installed} is the checkout, not the wheel"
    assert (files(unbraid) / "py.typed").is_file(), "the wheel says nothing of its types"
    assert version("unbraid") in unbraid_says("--version")
    assert "htdemucs" in unbraid.list_models()
    assert "htdemucs" in unbraid_says("models")

    samples = torch.randn(2, 100_001, generator=torch.Generator().manual_seed(0)) / 10
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.flac"
        unbraid.write(unbraid.Audio(samples, 44100), song)
        assert "100001" in unbraid_says("info", str(song)).replace(",", "")
        with unbraid.Separator(Halves().eval()) as separator:
            separation = separator.to_files(song, out=Path(folder) / "stems")
        stems = {stem: unbraid.read(path).samples for stem, path in separation.stems.items()}
    assert set(stems) == {"left", "right"}
    assert all(stem.shape == samples.shape for stem in stems.values())
    assert torch.allclose(sum(stems.values()), samples, atol=2**-14)


if __name__ == "__main__":
    main()
