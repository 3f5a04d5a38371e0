from __future__ import annotations

import dataclasses
import logging

import pytest
import torch

import unbraid
from unbraid.engine.plan import Window
from unbraid.errors import DownloadError, UnknownModelError, UsageError, WeightsError
from unbraid.zoo import cache as caches
from unbraid.zoo import catalog
from unbraid.zoo.checkpoint import WeightFile
from unbraid.zoo.convert import write
from unbraid.zoo.folder import sha256_of
from unbraid.zoo.load import _resolved, load, resolve
from unbraid.zoo.package import Package, fingerprint

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def card(make_card, published, cache, listed):
    """The tiny checkpoint as a model of the catalogue."""
    assert not cache.exists()
    return listed(make_card(published, overlap=0.5, shifts=2))


@pytest.fixture
def th(tiny, tmp_path):
    path = tmp_path / "955717e8.th"
    path.write_bytes(tiny.package)
    return path


def same_weights(network, state) -> bool:
    found = network.state_dict()
    return found.keys() == state.keys() and all(
        torch.equal(found[name], value.float()) for name, value in state.items()
    )


def test_a_name_becomes_a_network_that_is_ready(card, tiny):
    network = unbraid.load("tiny")
    assert same_weights(network, tiny.state)
    assert not network.training
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert network.spec.sources == card.sources
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 1000)).shape == (1, 2, 2, 1000)


def test_a_card_says_how_segments_meet_and_what_the_rest_is_called(make_card, published, listed):
    listed(make_card(published, window="fade", rest="bass and other"))
    found = resolve("tiny")
    assert (found.window, found.rest) == (Window.FADE, "bass and other")
    network = load("tiny")
    assert network.spec.sources == ("drums", "vocals", "bass and other")
    mixture = torch.randn(1, 2, 1000)
    with torch.no_grad():
        torch.testing.assert_close(network(mixture).sum(1), mixture, rtol=0, atol=1e-5)


def test_loading_leaves_torchs_generator_and_the_file_alone(card):
    load("tiny")
    before, content = torch.random.get_rng_state(), caches.path_of(card).read_bytes()
    network = load("tiny")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert caches.path_of(card).read_bytes() == content


@pytest.mark.usefixtures("card")
def test_every_form_of_the_same_weights_is_the_same_model(th, tiny, tmp_path):
    own = caches.path_of(catalog.card("tiny"))
    by_name = resolve("tiny")
    legacy = tmp_path / "old.pt"
    legacy.write_bytes(tiny.legacy)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(own.read_bytes())
    for path in (th, str(th), legacy, moved, own):
        found = resolve(path)
        assert (found.name, found.fingerprint, found.card) == ("tiny", tiny.fingerprint, by_name.card)
        assert (found.overlap, found.shifts) == (0.5, 2)
        assert same_weights(load(path), tiny.state)


def test_weights_that_no_card_knows_bring_their_own_facts(th, tiny):
    found = resolve(th)
    assert (found.name, found.path, found.architecture) == ("955717e8", th, "htdemucs")
    assert (found.card, found.overlap, found.shifts) == (None, 0.25, 1)
    assert found.fingerprint == tiny.fingerprint
    assert same_weights(load(th), tiny.state)


@pytest.fixture
def bare(tiny, tmp_path):
    """Weights alone, in float32, as training programs save them."""
    path = tmp_path / "bare.ckpt"
    torch.save({name: value.float() for name, value in tiny.state.items()}, path)
    return path


def test_weights_alone_are_what_the_card_of_their_file_says(bare, make_card, published, listed, tiny):
    card = listed(
        make_card(dataclasses.replace(published, sha256=sha256_of(bare)), fingerprint=None, overlap=0.5)
    )
    found = resolve(bare)
    assert (found.name, found.card, found.overlap) == ("tiny", card, 0.5)
    assert same_weights(load(bare), tiny.state)


@pytest.mark.usefixtures("card")
def test_weights_alone_that_no_card_knows_are_known_by_their_names_and_shapes(bare, tiny, caplog):
    network = load(bare)
    assert type(network).__name__ == "HTDemucs"
    assert same_weights(network, tiny.state)
    assert "bare.ckpt does not say what it is" in caplog.text


def test_a_file_without_a_published_hash_is_known_by_its_name(bare, make_card, listed, tiny):
    file = WeightFile("manual", "th", filename=bare.name, page="https://example.org")
    listed(make_card(file, fingerprint=None))
    assert resolve(bare).name == "tiny"
    assert same_weights(load(bare), tiny.state)
    assert resolve(bare.rename(bare.with_name("other.ckpt"))).card is None


def test_sources_are_called_as_the_card_calls_them(th, make_card, published, listed, tiny):
    names = ("kick", "snare")
    listed(make_card(published, sources=names, config={"sources": list(names)}, fingerprint=None))
    for asked in (th, "tiny"):
        network = load(asked)
        assert network.spec.sources == names
        assert same_weights(network, tiny.state)


def test_a_file_of_the_zoos_own_is_still_its_models_when_it_has_moved(make_card, published, listed, tmp_path):
    card = listed(make_card(published, fingerprint=None, overlap=0.0))
    load("tiny")
    moved = caches.path_of(card).rename(tmp_path / "moved.safetensors")
    assert (resolve(moved).card, resolve(moved).overlap) == (card, 0.0)


def test_a_file_of_the_users_own_is_no_models_because_it_has_its_name(th, make_card, listed, published):
    listed(make_card(dataclasses.replace(published, sha256="1" * 64), fingerprint=None))
    assert resolve(th.rename(th.with_name("tiny.th"))).card is None


def test_a_damaged_file_in_the_cache_is_fetched_again(card, server, tiny, caplog):
    load("tiny")
    place = caches.path_of(card)
    content = bytearray(place.read_bytes())
    content[-1] ^= 1
    place.write_bytes(content)
    with pytest.raises(WeightsError, match="is damaged"):
        load("tiny", offline=True)
    with caplog.at_level(logging.WARNING):
        assert same_weights(load("tiny"), tiny.state)
    assert "is damaged and is fetched again" in caplog.text
    assert server.asked == [None, None]


@pytest.mark.usefixtures("card")
def test_offline_and_nothing_there_says_what_would_help():
    with pytest.raises(DownloadError, match=r"tiny\.th \(SHA-256"):
        load("tiny", offline=True)


def test_a_model_from_the_users_folder_needs_no_connection(card, th, server, tiny):
    assert same_weights(load("tiny", folder=th.parent, offline=True), tiny.state)
    assert server.asked == []
    assert caches.is_on_disk(card)


@pytest.mark.parametrize("asked", ["missing.th", "folder/tiny", "./tiny", "a.safetensors", "a/" + "n" * 5000])
def test_a_path_without_a_file_is_said_to_be_one(asked):
    with pytest.raises(UnknownModelError, match="no checkpoint is at "):
        load(asked)


def test_a_name_that_is_nearly_right_is_corrected():
    with pytest.raises(UnknownModelError, match="did you mean htdemucs"):
        load("htdemuc")


def test_a_file_without_a_suffix_is_found_but_never_shadows_a_model(card, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_bytes(tiny.package)
    (tmp_path / "tiny").write_bytes(b"not this one")
    assert resolve("mine").fingerprint == tiny.fingerprint
    assert resolve("tiny").path == caches.path_of(card)


def test_weights_of_another_network_are_refused_with_both_lists(tiny, make_card, published, tmp_path):
    config = {**make_card(published).config, "sources": ["a", "b", "c"]}
    path = tmp_path / "other.safetensors"
    with pytest.raises(WeightsError, match="of another shape: decoder"):
        write(Package("tiny", "htdemucs", config, tiny.state, fingerprint(tiny.state)), path)
    assert not path.exists()


def test_a_cards_segment_wins_over_the_files(tmp_path):
    card = catalog.card("hdemucs_mmi")
    package = Package("75fc33f5", "hdemucs", {"segment": 40, "channels": 8}, {}, "f" * 64)
    config = _resolved(package, tmp_path, card).config
    assert (config["segment"], config["channels"]) == (44, 8)


def test_an_ensemble_is_no_network():
    with pytest.raises(UsageError, match=r"is an ensemble.*htdemucs_ft\.drums"):
        load("htdemucs_ft")
