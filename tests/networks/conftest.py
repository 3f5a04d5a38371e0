"""What the tests of networks share."""

from __future__ import annotations

import sys

import pytest

from reference.pictures import stand_ins


@pytest.fixture
def _pictures(monkeypatch):
    """Stand-ins for packages that bring networks for pictures, installed or not."""
    for name, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, name, module)
