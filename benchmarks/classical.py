"""Methods without training and oracles on real songs: SDR against the true stems, and time.

    python benchmarks/classical.py FOLDER [SONG ...]

FOLDER holds one folder a song with mixture.flac and true stems. Vocals are scored beside all else, drums
beside all else: every song has both. The mixture itself, taken for an estimate, is what any method must beat.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import unbraid
from machine import store
from unbraid.metrics.ratios import sdr
from unbraid.networks.classical import oracles
from unbraid.zoo import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

STEMS = ("vocals", "drums", "bass", "other")
# What is scored, as sums of true stems.
TARGETS = {
    "vocals": ("vocals",),
    "all but the vocals": ("drums", "bass", "other"),
    "drums": ("drums",),
    "all but the drums": ("vocals", "bass", "other"),
}
# Which sources of a model are taken for a target.
MEANT: dict[str, dict[str, tuple[str, ...]]] = {
    "hpss": {"drums": ("percussive",), "all but the drums": ("harmonic",)},
    "nmf": {"drums": ("drums",), "all but the drums": ("bass", "other")},
    "repet": {"vocals": ("vocals",), "all but the vocals": ("accompaniment",)},
    "repet_sim": {"vocals": ("vocals",), "all but the vocals": ("accompaniment",)},
    "rpca": {"vocals": ("vocals",), "all but the vocals": ("accompaniment",)},
    "centre": {"vocals": ("centre",), "all but the vocals": ("sides",)},
}
ORACLES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ideal binary mask": oracles.ideal_binary_masks,
    "ideal ratio mask, magnitudes": functools.partial(oracles.ideal_ratio_masks, power=1.0),
    "ideal ratio mask, energies": oracles.ideal_ratio_masks,
    "ideal multichannel Wiener filter": oracles.multichannel_wiener,
}


def stems(folder: Path) -> dict[str, Tensor]:
    """The true stems that a song has."""
    files = {stem: folder / f"{stem}.flac" for stem in STEMS}
    return {stem: unbraid.read(path).samples for stem, path in files.items() if path.exists()}


def scores(
    references: Mapping[str, Tensor],
    estimates: Mapping[str, Tensor],
    meant: Mapping[str, tuple[str, ...]] = TARGETS,
) -> dict[str, float]:
    """SDR of each target in dB."""
    return {
        target: round(sdr(_sum(references, TARGETS[target]), _sum(estimates, sources)).item(), 4)
        for target, sources in meant.items()
    }


def _sum(signals: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
    return torch.stack([signals[name] for name in names if name in signals]).sum(0)


def rows(folder: Path) -> dict[str, dict[str, float]]:
    """Scores of everything on one song, by name."""
    mixture, references = unbraid.read(folder / "mixture.flac"), stems(folder)
    whole = {target: sdr(_sum(references, names), mixture.samples) for target, names in TARGETS.items()}
    found = {"the mixture itself": {target: round(value.item(), 4) for target, value in whole.items()}}
    for model, meant in MEANT.items():
        began = time.perf_counter()
        estimates = unbraid.separate(mixture, model)
        rtf = (time.perf_counter() - began) / mixture.duration
        separated = {source: audio.samples for source, audio in estimates.items()}
        found[model] = {**scores(references, separated, meant), "rtf": round(rtf, 4)}
    for name, oracle in ORACLES.items():
        answers = oracle(mixture.samples, torch.stack(list(references.values())))
        found[name] = scores(references, dict(zip(references, answers, strict=True)))
    return found


def main(folder: Path, songs: list[str]) -> None:
    """Score every song of the folder and store the table."""
    assert all(not catalog.card(model).files for model in MEANT)
    results = {}
    for song in songs or sorted(path.name for path in folder.iterdir()):
        results[song] = rows(folder / song)
        print(song, results[song], flush=True)
    print(store("classical", results, [Path(argument).name for argument in sys.argv[1:]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
