"""README and the pages of the docs, and a place where their snippets can run."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import unbraid
from signals import noise, tone
from unbraid.audio import Audio
from unbraid.engine.plan import Window
from unbraid.spec import ModelSpec
from unbraid.zoo import catalog, load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RATE = 44100


def pytest_generate_tests(metafunc):
    """A test that asks for `page` runs once for each."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
def root():
    """The checkout."""
    return ROOT


@pytest.fixture
def report(monkeypatch):
    """The script that draws tables; as a script it finds its neighbours by their bare names."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("report")


@pytest.fixture
def rows():
    """Reads the tables of a page below a heading, as cells in rows, without their headings."""

    def rows(path, heading=""):
        text = (ROOT / path).read_text(encoding="utf-8")
        section = text.split(heading, 1)[1] if heading else text
        lines = re.findall(r"^\| (.*) \|$", section.split("\n## ", 1)[0], re.MULTILINE)
        return [re.split(r"(?<!\\) \| ", line) for line in lines]

    return rows


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files that snippets speak of, each a second long."""
    monkeypatch.chdir(tmp_path)
    song = Audio(tone(RATE) + noise(RATE), RATE)
    for name in ("song.wav", "song.flac", "song.mp3", "intro.flac"):
        unbraid.write(song, name)
    Path("notes.txt").write_text("Verse, chorus, verse.\n")
    return tmp_path


class Shares(torch.nn.Module):
    """In a published network's place: each source is a share of the mixture, and a hundredth is left."""

    def __init__(self, sources):
        super().__init__()
        self.spec = ModelSpec(sources, RATE, 2, segment=RATE // 2, fixed=True, levelled=True)
        shares = torch.tensor([0.5, 0.3, 0.15, 0.04, 0.02, 0.01])[: len(sources)]
        self.shares = (0.99 * shares / shares.sum())[:, None, None]

    def forward(self, mixture):
        return mixture[:, None] * self.shares


@pytest.fixture
def quick_network(monkeypatch):
    """Every model is quick and needs no weights; names are still looked up in the catalogue."""
    real = load.resolve, load.network

    def resolve(name, **_):
        card = catalog.card(name)
        if not card.has_weights:
            return real[0](name)
        return SimpleNamespace(
            name=card.name, fingerprint=card.fingerprint, overlap=card.overlap, window=Window.TRIANGLE
        )

    def network(found):
        return (
            Shares(catalog.card(found.name).sources) if isinstance(found, SimpleNamespace) else real[1](found)
        )

    for module in ("unbraid.lineup", "unbraid.zoo.load"):
        monkeypatch.setattr(f"{module}.resolve", resolve)
        monkeypatch.setattr(f"{module}.network", network)
