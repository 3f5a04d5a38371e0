"""Every layout whose files keep each sample."""

from __future__ import annotations

import pytest

from datasets import LOSSLESS


@pytest.fixture(params=LOSSLESS)
def layout(request, tmp_path):
    """The name of a layout without loss, and a data set that has it."""
    root = tmp_path / "data"
    LOSSLESS[request.param](root)
    return request.param, root
