"""Peak memory of a whole process does not depend on the length of the track."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A process of its own: peaks never fall again within one.
SCRIPT = """
import resource, sys
from types import SimpleNamespace
import torch
import unbraid.lineup as lineup
import unbraid.separator as front
from unbraid.io.formats import OutputFormat
from unbraid.io.write import Writer
from unbraid.engine.plan import Window
from unbraid.spec import ModelSpec

folder, seconds = sys.argv[1], int(sys.argv[2])

class Shares(torch.nn.Module):
    spec = ModelSpec(("drums", "bass", "other", "vocals"), 44100, 2, 343980, fixed=True, levelled=True)
    def forward(self, mixture):
        return mixture[:, None] * torch.tensor([0.4, 0.3, 0.2, 0.1])[:, None, None]

found = SimpleNamespace(name="shares", fingerprint="", overlap=0.25, window=Window.TRIANGLE)
lineup.resolve = lambda *_, **__: found
lineup.network = lambda _: Shares()
second = 0.1 * torch.randn(2, 44100)
with Writer(f"{folder}/song.wav", OutputFormat("wav", bits="16"), sample_rate=44100, channels=2,
            layout=("FL", "FR"), length=seconds * 44100, tags={}, cover=None) as writer:
    for _ in range(seconds):
        writer.write(second)
with front.Separator("shares") as separator:
    separator.to_files(f"{folder}/song.wav", out=folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of a Unix")
def test_five_times_the_track_takes_the_same_memory(tmp_path):
    def peak(seconds):
        folder = tmp_path / f"{seconds}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(folder), str(seconds)]
        # One thread: this is all short operations, and waiting for a busy core would take most of the time.
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        finished = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
        return int(finished.stdout.split()[-1])

    # The lesser of two: threads run ahead of each other by chance, and more waits in between than must. In a
    # minute they have not yet done so as far as they may.
    assert min(peak(600), peak(600)) < 1.1 * min(peak(120), peak(120))
