"""Writes weights in the container that demucs reads; runs in the environment that has demucs.

    python benchmarks/demucs_package.py PARTS PACKAGE

PARTS is a file with a dictionary: `klass`, the class by its dotted name; `kwargs`, what it is called with;
`state`, the weights. PACKAGE is the `.th` file of a repository on disk, for `demucs --repo`.
"""

from __future__ import annotations

import importlib
import sys

import torch


def main(parts: str, package: str) -> None:
    """Put the class in the place of its name."""
    content = torch.load(parts, weights_only=False)  # made by peer_cases.py just before
    module, _, name = content["klass"].rpartition(".")
    klass = getattr(importlib.import_module(module), name)
    torch.save({**content, "klass": klass, "args": (), "training_args": {}}, package)


if __name__ == "__main__":
    main(*sys.argv[1:])
