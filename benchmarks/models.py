"""What each model costs: time and peak memory of the whole process, side by side on one song.

    python benchmarks/models.py [NAME ...]            default: one model of each network there is

Where weights are not on this machine, random ones stand in: cost depends on the network, not on what
it has learnt. The song is the seeded one of `memory.py`, a minute long, or twelve seconds for the slowest.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from machine import store
from memory import measure, write_song
from unbraid.networks.base import build
from unbraid.zoo import cache, catalog
from unbraid.zoo.convert import write
from unbraid.zoo.package import Package, fingerprint

MINUTES = 1.0
# One of each network and size; others of the same network cost the same.
NAMES = (
    "htdemucs",
    "htdemucs_6s",
    "hdemucs_mmi",
    "mdx.7d865c68",
    "mdx.0d19c1c6",
    "demucs.v2",
    "demucs.v2_48_hq",
    "conv_tasnet.v2",
    "wave_u_net.m4",
    "wave_u_net.m5_high_sr",
    "spleeter.2stems",
    "spleeter.5stems",
    "umxhq",
    "umxl",
    "x_umx",
    "kuielab_b.drums",
    "kuielab_b.vocals",
    "uvr_mdx.voc_ft",
    "d3net",
    "lasaft.large_2020",
)
# Some would take all day over a minute.
SHORTER = {"d3net": 0.2, "lasaft.large_2020": 0.2}


def weights(name: str, folder: Path) -> str:
    """The model's name if its weights are here, else the path of a file with random ones."""
    card = catalog.card(name)
    if cache.is_on_disk(card):
        return name
    tensors = dict(build(card.architecture, card.config).state_dict())
    path = folder / f"{name}.safetensors"
    write(Package(name, card.architecture, card.config, tensors, fingerprint(tensors)), path)
    return str(path)


def main(names: list[str]) -> None:
    """Measure each model in a process of its own and store the table."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in names:
            minutes = SHORTER.get(name, MINUTES)
            song = folder / f"{minutes}.flac"
            write_song(song, minutes)
            # In a process of its own: a child's peak begins with the memory of the one that starts it.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
                model = apart.submit(weights, name, folder).result()
            cost = measure(song, folder / name, minutes, model=model)
            rows.append({"model": name, "random": model != name, **cost})
            print(rows[-1], flush=True)
            (folder / f"{name}.safetensors").unlink(missing_ok=True)
            store("models", rows, names)


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
