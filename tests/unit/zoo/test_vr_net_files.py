"""VR networks from files as their publishers write them: weights alone, known by their hash or not."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import torch

from networks.tiny import lively
from reference.published_vr import published_network, weights_of
from unbraid.errors import WeightsError
from unbraid.networks.base import build
from unbraid.networks.vr_net import Config, VRNet
from unbraid.zoo import catalog, load, uvr_models
from unbraid.zoo.convert import read
from unbraid.zoo.download import published

KINDS = {
    "first": Config(channels=4, views=7, window=64),
    "recurrent": Config(channels=8, recurrence=16, window=64, layout="4band_v3"),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def network(request):
    network = VRNet(request.param)
    network.load_state_dict(lively(network.state_dict()))
    return network.eval()


@pytest.fixture
def file(network, tmp_path):
    """As published: with the heads for training, and one convolution under two names."""
    theirs = published_network(network.config)
    torch.save(weights_of(network.state_dict(), theirs), tmp_path / "vr.pth")
    return tmp_path / "vr.pth"


def test_a_known_file_is_used_as_uvr_uses_it(network, file, monkeypatch, rng):
    known = uvr_models.UvrVrModel(network.config.layout, ("vocals", "accompaniment"), accompaniment=False)
    monkeypatch.setattr(uvr_models, "_vr_models", lambda: {uvr_models.tail_md5(file): known})
    loaded = load.load(file)
    assert loaded.spec.sources == ("vocals", "accompaniment")
    assert not loaded.config.accompaniment
    assert (loaded.config.layout, loaded.config.window) == (network.config.layout, 512)
    window = torch.rand(1, 2, loaded.config.bands.bins + 1, 64, generator=rng)
    assert loaded.inner(window)[0].equal(network.inner(window)[0])


def test_of_an_unknown_file_the_layout_is_guessed_and_the_guess_is_said(network, file, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = load.load(file)
    assert loaded.config.layout == network.config.layout
    assert loaded.spec.sources == ("primary", "secondary")
    assert f"{network.config.layout} is assumed" in caplog.text


def test_what_the_caller_asks_for_counts_more_than_a_guess(network, file, caplog):
    sizes = {key: getattr(network.config, key) for key in ("channels", "views", "recurrence")}
    # Weights with a recurrence fit one number of bins.
    layout = "4band_v3_sn" if network.config.recurrence else "4band_v4_ms_fullband"
    asked = {**sizes, "layout": layout, "sources": ["no_reverb", "reverb"]}
    package = read(file, architecture="vr_net", config=asked)
    rebuilt = build("vr_net", package.config)
    rebuilt.load_state_dict(package.tensors)
    assert (rebuilt.config.layout, rebuilt.spec.sources) == (layout, ("no_reverb", "reverb"))
    assert not caplog.text


def test_a_file_of_another_network_is_refused(file):
    with pytest.raises(WeightsError, match="was to be a demucs, but is a vr_net"):
        read(file, architecture="demucs", config={})


def test_the_table_of_models_is_whole():
    models = uvr_models._vr_models()
    assert len(models) == 32
    assert all(len(md5) == 32 for md5 in models)
    for model in models.values():
        Config(layout=model.layout, sources=model.sources, accompaniment=model.accompaniment)
    assert sum(not model.accompaniment for model in models.values()) == 4
    assert models["44c55d8b5d2e3edea98c2b2bf93071c7"] == uvr_models.UvrVrModel(
        "4band_v3", ("noise", "no_noise")
    )


def test_a_card_says_how_its_bands_are_laid_out_and_no_guess_is_made(network, file, caplog):
    sizes = {key: getattr(network.config, key) for key in ("channels", "views", "recurrence")}
    layout = "4band_v3_sn" if network.config.recurrence else "3band_44100"
    sources = ("no_aspiration", "aspiration")
    known = {**sizes, "layout": layout, "sources": list(sources), "accompaniment": False}
    card = dataclasses.replace(catalog.card("vr.breath"), config=known, sources=sources)
    package = published({"": file}, card)
    assert package.config["layout"] == layout
    assert package.config["accompaniment"] is False
    assert not caplog.text
