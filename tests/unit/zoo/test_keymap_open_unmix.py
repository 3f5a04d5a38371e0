"""Open-Unmix' published parts, and folders as its training leaves them; hostile twins of these."""

from __future__ import annotations

import json
import re

import pytest
import torch

from networks.tiny import lively
from reference.published_unmix import Separator, open_unmix
from unbraid.errors import WeightsError
from unbraid.zoo import catalog, load
from unbraid.zoo.convert import read, read_parts
from unbraid.zoo.keymaps.open_unmix import sizes

# What the files of 2019 hold besides the weights.
OLD = {
    "stft.window": torch.hann_window(64),
    "transform.0.window": torch.hann_window(64),
    "sample_rate": torch.tensor(8000),
}
SHAPE = {"nb_bins": 33, "nb_channels": 2, "hidden_size": 12, "nb_layers": 2, "max_bin": 25}
CONFIG = {
    "sample_rate": 8000,
    "n_fft": 64,
    "hop_length": 16,
    "max_bin": 25,
    "hidden_size": 12,
    "layers": 2,
}
TRANSFORM = {"sample_rate": 8000.0, "nfft": 64, "nhop": 16, "nb_channels": 2}


def target(seed, **changes):
    """A published network of one source, all of whose branches are alive."""
    network = open_unmix(**{**SHAPE, **changes})
    network.load_state_dict(lively(network.state_dict(), seed))
    return network.eval()


@pytest.fixture
def targets():
    """Of three sources."""
    return {source: target(seed) for seed, source in enumerate(("vocals", "bass", "kazoo"))}


@pytest.fixture
def folder(tmp_path, targets):
    """What training leaves of them."""
    place = tmp_path / "mine"
    place.mkdir()
    (place / "separator.json").write_text(json.dumps(TRANSFORM), encoding="utf-8")
    for source, network in targets.items():
        (place / f"{source}.json").write_text(json.dumps({"args": {"nfft": 64}}), encoding="utf-8")
        torch.save(network.state_dict() | OLD, place / f"{source}.pth")
        torch.save({"state_dict": network.state_dict(), "epoch": 3}, place / f"{source}.chkpnt")
    return place


@pytest.mark.parametrize("name", ["umx", "umxhq", "umxl", "umxse"])
def test_a_published_file_is_the_part_of_its_source(name):
    card = catalog.card(name)
    assert [file.part for file in card.files] == [f"targets.{place}" for place in range(len(card.sources))]
    for source, file in zip(card.sources, card.files, strict=True):
        assert re.fullmatch(rf"{source}[-_]{file.sha256_prefix}\.pth", file.name)


def test_published_parts_make_the_network(tmp_path, targets):
    for source, network in targets.items():
        torch.save(network.state_dict() | OLD, tmp_path / f"{source}.pth")
    held = {f"targets.{place}": tmp_path / f"{source}.pth" for place, source in enumerate(targets)}
    package = read_parts(held, architecture="open_unmix", config={"sources": [*targets], **CONFIG})
    for place, network in enumerate(targets.values()):
        for name, value in network.state_dict().items():
            assert package.tensors[f"targets.{place}.{name}"].equal(value)


@torch.no_grad()
def test_a_folder_gives_what_the_published_program_makes_of_it(folder, targets, rng):
    network = load.load(folder)
    assert network.spec.sources == ("vocals", "bass", "kazoo")
    assert network.spec.sample_rate == 8000
    theirs = Separator(targets, niter=1, sample_rate=8000, n_fft=64, n_hop=16).eval()
    mixture = 0.1 * torch.randn(1, 2, 6000, generator=rng)
    expected = theirs(mixture)
    assert (network(mixture) - expected).norm() < 1e-4 * expected.norm()


def test_a_folder_is_a_model_by_its_path(folder):
    resolved = load.resolve(str(folder))
    assert (resolved.name, resolved.architecture, resolved.card) == ("mine", "open_unmix", None)
    assert resolved.config["hop_length"] == 16


@pytest.mark.parametrize("name", ["vocals-c8df74a5.pth", "vocals_f5e0d9f9.pth"])
def test_a_hash_may_stand_behind_the_name(folder, name):
    (folder / "vocals.pth").rename(folder / name)
    (folder / "vocals_live-c8df74a5.pth").write_bytes(b"of another source")
    assert read(folder).config["sources"] == ("vocals", "bass", "kazoo")


@pytest.mark.parametrize(
    "changes", [{}, {"unidirectional": True}, {"nb_layers": 1, "nb_channels": 1}, {"max_bin": None}]
)
def test_shapes_tell_what_a_network_is_made_from(changes):
    network = target(0, **changes)
    assert sizes(network.state_dict()) == {
        "audio_channels": changes.get("nb_channels", 2),
        "n_fft": 64,
        "max_bin": changes.get("max_bin", 25) or 33,
        "hidden_size": 12,
        "layers": changes.get("nb_layers", 2),
        "unidirectional": changes.get("unidirectional", False),
    }


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, content):
    return lambda folder: torch.save(content, folder / name)


def _saying(text):
    return lambda folder: (folder / "separator.json").write_text(text, encoding="utf-8")


def _no_source(folder):
    for source in ("vocals", "bass", "kazoo"):
        (folder / f"{source}.json").unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without("separator.json"), "is a folder that is no checkpoint"),
        (_without("bass.pth"), r"must hold the weights of bass in one file bass\.pth"),
        (_with("bass-0123abcd.pth", {}), r"in one file bass\.pth, not bass-0123abcd\.pth, bass\.pth"),
        (_no_source, "no source"),
        (_with("bass.pth", target(1, hidden_size=14).state_dict()), "bass is of another network than vocals"),
        (
            _with("bass.pth", target(1).state_dict() | {"fc4.weight": torch.zeros(1)}),
            "1 unknown: targets.1.fc4",
        ),
        (_with("bass.pth", {"fc1.weight": torch.zeros(1)}), "is damaged"),
        (_with("bass.pth", {"fc1.weight": "text"}), "holds more than weights"),
        (
            _saying(json.dumps(TRANSFORM | {"nfft": 128})),
            "transform of separator.json is not that of the weights",
        ),
        (_saying(json.dumps(TRANSFORM | {"nhop": 0})), "hop_length must be 1"),
        (_saying("{}"), "is damaged"),
        (_saying("[" * 100_000), "is damaged"),
    ],
)
def test_a_folder_that_makes_no_network_is_refused_with_the_reason(folder, change, words):
    change(folder)
    with pytest.raises(WeightsError, match=words):
        load.load(folder)


class _Evil:
    def __reduce__(self):
        return (pytest.fail, ("the file was executed",))


def test_nothing_in_a_folder_is_run(folder):
    torch.save({"fc1.weight": _Evil()}, folder / "vocals.pth")
    with pytest.raises(WeightsError):
        load.load(folder)
