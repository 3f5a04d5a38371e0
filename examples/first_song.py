"""Separate a song as a user would, say where the stems are, and how good those of the demonstration are.

    python examples/first_song.py [SONG]

Without a song it takes the six seconds of music with true stems that the package stempeg carries.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import torch

import unbraid
from unbraid.metrics.ratios import sdr

# The streams of a MUSDB18 file after the mixture, in order (the dataset's own convention).
TRUE_STEMS = ("drums", "bass", "other", "vocals")


def demonstration_song() -> Path:
    """The excerpt inside stempeg; the package is found, not imported."""
    spec = importlib.util.find_spec("stempeg")
    if spec is None or spec.origin is None:
        raise SystemExit("the demonstration song comes with the package stempeg; run this by `make run`")
    return Path(spec.origin).parent / "data" / "The Easton Ellises - Falcon 69.stem.mp4"


def true_stem(song: Path, index: int) -> torch.Tensor:
    """One of the streams after the mixture, `(channels, time)`."""
    with av.open(str(song)) as container:
        stream = container.streams.audio[1 + index]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
    return torch.from_numpy(np.concatenate(frames, 1))


def separate(song: Path) -> dict[str, object]:
    """Run the command line; its bar goes to the terminal, its one line of JSON comes back."""
    command = [sys.executable, "-m", "unbraid", str(song), "--overwrite", "--json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own command
    if finished.returncode:
        raise SystemExit(finished.returncode)
    result: dict[str, object] = json.loads(finished.stdout)
    return result


def main(arguments: list[str]) -> None:
    """Separate, then report."""
    song = Path(arguments[0]) if arguments else demonstration_song()
    result = separate(song)
    print(
        f"\n{result['track']}: {result['audio_seconds']:.1f} s of music in {result['elapsed_seconds']:.1f} s"
    )
    print(f"real-time factor {result['rtf']:.2f} (below 1 is faster than listening)\n")
    for stem, path in dict(result["stems"]).items():
        score = ""
        if not arguments:
            reference = true_stem(song, TRUE_STEMS.index(stem))
            estimate = unbraid.read(path).samples
            length = min(reference.shape[1], estimate.shape[1])
            score = f"SDR {sdr(reference[:, :length], estimate[:, :length]).item():6.2f} dB   "
        print(f"  {stem:8s} {score}{path}")


if __name__ == "__main__":
    main(sys.argv[1:])
