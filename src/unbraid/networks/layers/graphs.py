"""Whether layers run, or are written down for another runtime."""

from __future__ import annotations

import torch


def writing_a_graph() -> bool:
    """Whether what is computed is recorded; loops then tie the graph to the lengths it was made with."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch.compiler.is_compiling()
