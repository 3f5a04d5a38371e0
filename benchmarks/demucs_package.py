"""Writes weights in the container that demucs reads; runs in the environment that has demucs.

    python benchmarks/demucs_package.py PARTS PACKAGE

PARTS is a file with a dictionary: `klass`, the class by its dotted name; `kwargs`, what it is called with;
`state`, the weights. PACKAGE is the `.th` file of a repository on disk, for `demucs --repo`.
"""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction

import torch


def main(parts: str, package: str) -> None:
    """Put the class in the place of its name."""
    with torch.serialization.safe_globals([Fraction]):  # of a segment's seconds
        content = torch.load(parts, weights_only=True)
    module, _, name = content["klass"].rpartition(".")
    klass = getattr(importlib.import_module(module), name)
    torch.save({**content, "klass": klass, "args": (), "training_args": {}}, package)


if __name__ == "__main__":
    main(*sys.argv[1:])
