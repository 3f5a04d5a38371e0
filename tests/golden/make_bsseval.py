"""Writes what museval answers on odd signals and on a few seconds of real songs.

Needs `museval` 0.4.1 with numpy 2.4.6 and scipy 1.17.1, and soundfile, in an environment of their own. Of
museval only the file `metrics.py` is used, since the package does not start without the program ffmpeg.
Run from the repository's root: python tests/golden/make_bsseval.py SONGS
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np

sys.path.append("tests/reference")
from bsseval_cases import odd_cases, song_cases


def museval_metrics():
    """The module `museval.metrics`, without its package."""
    package = importlib.util.find_spec("museval")
    path = Path(package.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("metrics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(metrics, case):
    """SDR, ISR, SIR and SAR of each source and frame."""
    lengths = [seconds * case.sample_rate for seconds in (case.window, case.hop)]
    return np.stack(
        metrics.bss_eval(
            case.references.transpose(0, 2, 1),
            case.estimates.transpose(0, 2, 1),
            *(length if np.isinf(length) else int(length) for length in lengths),
            filters_len=case.taps,
            framewise_filters=False,
            bsseval_sources_version=not case.images,
        )[:4]
    )


if __name__ == "__main__":
    metrics = museval_metrics()
    cases = {**odd_cases(), **song_cases(Path(sys.argv[1]))}
    stored = {name: answers(metrics, case) for name, case in cases.items()}
    np.savez_compressed("tests/golden/bsseval.npz", **stored)
