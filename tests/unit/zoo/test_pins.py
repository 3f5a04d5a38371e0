"""Files whose publisher states no hash: the first that comes is what later ones are held to."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json

import pytest
import torch

from unbraid.errors import DownloadError, MachineError
from unbraid.zoo import cache as caches
from unbraid.zoo import pins
from unbraid.zoo.download import fetch

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def unhashed(make_card, published):
    """A card of a file whose publisher states no hash, and nobody knows its weights."""
    return make_card(dataclasses.replace(published, sha256=None), fingerprint=None)


def other_weights(tiny) -> bytes:
    """As the tiny network's, but of another training."""
    state = {name: value + 1 if value.is_floating_point() else value for name, value in tiny.state.items()}
    content = torch.load(io.BytesIO(tiny.package), weights_only=False)
    buffer = io.BytesIO()
    torch.save({**content, "state": state}, buffer)
    return buffer.getvalue()


def fetched_anew(card):
    """As if the cache had lost the model, but not what was learnt of it."""
    caches.path_of(card).unlink()
    return fetch(card)


def test_the_first_download_is_pinned_and_one_line_says_so(unhashed, tiny, caplog):
    fetch(unhashed)
    assert pins.pinned(unhashed) == {"": tiny.sha256}
    (line,) = caplog.messages
    for words in ("tiny", tiny.sha256, str(pins.path()), "later downloads are held to it"):
        assert words in line
    stored = json.loads(pins.path().read_text(encoding="utf-8"))
    assert stored["tiny"][""]["source"] == unhashed.files[0].url


def test_the_same_file_comes_again_in_silence_and_can_be_continued(unhashed, tiny, server, caplog):
    fetch(unhashed)
    caplog.clear()
    server.asked.clear()
    caches.path_of(unhashed).with_name(f"{tiny.sha256}.part").write_bytes(tiny.package[:10_000])
    assert fetched_anew(unhashed) == caches.verify(unhashed)
    assert server.asked == ["bytes=10000-"]
    assert not caplog.messages


def test_another_file_is_refused_with_both_hashes_and_the_way_out(unhashed, tiny, server):
    fetch(unhashed)
    server.content = other_weights(tiny)
    with pytest.raises(DownloadError) as caught:
        fetched_anew(unhashed)
    said = str(caught.value)
    for words in (tiny.sha256, hashlib.sha256(server.content).hexdigest(), "unbraid models forget tiny"):
        assert words in said
    assert not caches.is_on_disk(unhashed)
    assert pins.forget(unhashed)
    fetch(unhashed)
    assert pins.pinned(unhashed) == {"": hashlib.sha256(server.content).hexdigest()}


def test_what_is_no_network_of_the_card_is_not_pinned(unhashed, server):
    server.content = b"<html>not found</html>"
    with pytest.raises(DownloadError):
        fetch(unhashed)
    assert not pins.path().exists()


def test_of_a_hash_that_is_known_in_part_the_whole_is_pinned(make_card, published, tiny, server):
    card = make_card(
        dataclasses.replace(published, sha256=None, sha256_prefix=tiny.sha256[:8]), fingerprint=None
    )
    fetch(card)
    assert pins.pinned(card) == {"": tiny.sha256}
    server.content = other_weights(tiny)
    with pytest.raises(DownloadError, match=f"at the first download it was {tiny.sha256}"):
        fetched_anew(card)


def test_where_a_hash_or_a_fingerprint_vouches_nothing_is_pinned(make_card, published):
    fetch(make_card(published))
    fetch(make_card(published, fingerprint=None))
    fetch(make_card(dataclasses.replace(published, sha256=None), name="marked"))
    assert not pins.path().exists()


def test_a_card_that_learns_its_hash_counts_more_than_what_was_pinned(unhashed, published, tiny, server):
    fetch(unhashed)
    content = server.content = other_weights(tiny)
    sha256 = hashlib.sha256(content).hexdigest()
    file = dataclasses.replace(published, sha256=sha256, bytes=len(content))
    fetch(dataclasses.replace(unhashed, files=(file,)))


def test_what_was_never_pinned_cannot_be_forgotten(unhashed):
    assert not pins.forget(unhashed)


@pytest.mark.parametrize("text", ["{", "[1]", '{"tiny": {"": {}}}'])
def test_a_damaged_file_of_pins_is_an_error_and_not_nothing(unhashed, text):
    pins.path().parent.mkdir(parents=True, exist_ok=True)
    pins.path().write_text(text, encoding="utf-8")
    with pytest.raises(MachineError, match="is damaged; it holds what downloads are held to"):
        fetch(unhashed)
