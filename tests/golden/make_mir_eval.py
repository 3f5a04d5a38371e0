"""Writes what mir_eval answers on whole signals, as images and as sources.

Needs `mir_eval` 0.8.2 with numpy 2.4.6, scipy 1.17.1 and decorator, in an environment of their own.
Run from the repository's root: python tests/golden/make_mir_eval.py
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from mir_eval.separation import bss_eval_images, bss_eval_sources

sys.path.append("tests/reference")
from bsseval_cases import whole_cases


def answers(case):
    """SDR, ISR, SIR and SAR of each source, or without ISR where sources are meant."""
    if case.images:
        pair = (signals.transpose(0, 2, 1) for signals in (case.references, case.estimates))
        return [ratio.tolist() for ratio in bss_eval_images(*pair, compute_permutation=False)[:4]]
    pair = (signals[:, 0] for signals in (case.references, case.estimates))
    return [ratio.tolist() for ratio in bss_eval_sources(*pair, compute_permutation=False)[:3]]


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # mir_eval announces that this part of it will go
    stored = {name: answers(case) for name, case in whole_cases().items()}
    Path("tests/golden/mir_eval.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
