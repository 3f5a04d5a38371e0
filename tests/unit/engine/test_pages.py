"""Memory that the process keeps while a network is loaded."""

from __future__ import annotations

import pytest
import torch

from fakes import spec_of
from unbraid.engine.backends import pages
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.runtime import Runtime


@pytest.fixture
def settings(monkeypatch):
    """What mallopt would be told, in order, as if nobody held pages."""
    told = []
    monkeypatch.setattr(pages, "_holders", 0)
    monkeypatch.setattr(pages, "is_possible", lambda: True)
    monkeypatch.setattr(pages, "_set", lambda _, values: told.append(values))
    return told


@pytest.mark.skipif(not pages.is_possible(), reason="runs where memory comes from glibc")
def test_the_first_holder_keeps_pages_and_the_last_gives_them_back(settings):
    first, second = pages.KeptPages(), pages.KeptPages()
    assert settings == [pages._KEEP]
    first.close()
    first.close()
    assert settings == [pages._KEEP]
    second.close()
    assert settings == [pages._KEEP, pages._AS_BEFORE]


def test_elsewhere_than_on_glibc_nothing_is_set(settings, monkeypatch):
    monkeypatch.setattr(pages, "is_possible", lambda: False)
    pages.KeptPages().close()
    assert settings == []


@pytest.mark.skipif(not pages.is_possible(), reason="runs where memory comes from glibc")
def test_a_backend_keeps_pages_until_it_is_closed_if_it_is_told_to(settings):
    EagerBackend(torch.nn.Identity(), spec_of(10), Runtime("cpu")).close()
    assert settings == []
    EagerBackend(torch.nn.Identity(), spec_of(10), Runtime("cpu", keep_pages=True)).close()
    assert settings == [pages._KEEP, pages._AS_BEFORE]


@pytest.mark.skipif(not pages.is_possible(), reason="runs where memory comes from glibc")
def test_glibc_takes_every_setting():
    import ctypes

    libc = ctypes.CDLL(None)
    for values in (pages._KEEP, pages._AS_BEFORE):
        assert all(libc.mallopt(parameter, value) == 1 for parameter, value in values.items())
