from __future__ import annotations

import dataclasses
import hashlib
import io
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open

from unbraid.errors import Cancelled, DownloadError, MachineError, UsageError, WeightsError
from unbraid.progress import Stage
from unbraid.zoo import cache as caches
from unbraid.zoo import download
from unbraid.zoo.checkpoint import WeightFile
from unbraid.zoo.convert import read, write
from unbraid.zoo.download import fetch
from unbraid.zoo.package import Package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """So that the tiny package comes in many pieces."""
    monkeypatch.setattr(download, "_PIECE", 4096)


@pytest.fixture
def card(make_card, published):
    """A card whose one source is the server."""
    return make_card(published)


def part_of(card) -> Path:
    return caches.path_of(card).parent / f"{card.files[0].sha256}.part"


def lay_part(card, content: bytes) -> None:
    part_of(card).parent.mkdir(parents=True)
    part_of(card).write_bytes(content)


def files_of(card) -> list[str]:
    """What lies in the model's folder."""
    return sorted(path.name for path in caches.path_of(card).parent.iterdir())


def bare(state) -> bytes:
    """Weights alone, as torch saves them."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def test_what_is_fetched_is_verified_converted_and_alone(card, tiny):
    path = fetch(card)
    assert path == caches.verify(card)
    assert files_of(card) == [f"{tiny.fingerprint}.safetensors"]
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["source"] == card.files[0].url
        assert file.metadata()["licence"] == "MIT"


def test_what_is_there_is_not_asked_for_again(card, server):
    fetch(card)
    fetch(card)
    fetch(card, offline=True)
    assert server.asked == [None]


def test_progress_counts_the_bytes_to_the_end(card, tiny):
    events = []
    fetch(card, listener=events.append)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(tiny.package))
    assert {(event.stage, event.name, event.total) for event in events} == {
        (Stage.FETCH, "tiny", len(tiny.package))
    }


@pytest.mark.parametrize("cut_after", [5_000, 20_000, 100_000])
def test_a_cut_connection_is_taken_up_where_it_was_cut(cut_after, card, server, tiny):
    server.cut_after = cut_after
    fetch(card)
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in server.asked[1:]]
    assert starts == sorted(set(starts))
    assert len(starts) >= len(tiny.package) // cut_after - 1
    caches.verify(card)


def test_a_connection_that_brings_nothing_is_given_up_and_continued_next_time(card, server, tiny):
    server.cut_after = 0
    with pytest.raises(DownloadError, match="the connection was cut"):
        fetch(card)
    assert len(server.asked) == 1
    part_of(card).write_bytes(tiny.package[:10_000])
    server.cut_after = None
    fetch(card)
    assert server.asked[1:] == ["bytes=10000-"]
    assert files_of(card) == [f"{tiny.fingerprint}.safetensors"]


def test_a_whole_part_needs_no_connection(card, server, tiny):
    lay_part(card, tiny.package)
    fetch(card)
    assert server.asked == []


def test_a_server_that_cannot_continue_is_asked_for_all_of_it(card, server, tiny):
    lay_part(card, tiny.package[:10_000])
    server.ranges = False
    fetch(card)
    assert server.asked == ["bytes=10000-", None]


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_server_that_continues_elsewhere_is_asked_for_all_of_it(offset, card, server, tiny):
    lay_part(card, tiny.package[:10_000])
    server.offset = offset
    fetch(card)
    assert server.asked == ["bytes=10000-", None]


def test_a_part_that_is_longer_than_the_file_is_dropped(card, server, tiny):
    lay_part(card, tiny.package + b"more")
    fetch(card)
    assert server.asked == [f"bytes={len(tiny.package) + 4}-", None]


@pytest.mark.parametrize("content", [bytes(10_000), None])
def test_a_damaged_part_is_fetched_again_from_its_start(content, card, server, tiny):
    lay_part(card, content or bytes(len(tiny.package)))
    fetch(card)
    assert server.asked[-1] is None


def test_a_busy_server_costs_nothing_that_has_come(card, server, tiny):
    lay_part(card, tiny.package[:10_000])
    server.status = 503
    with pytest.raises(DownloadError, match="answered 503"):
        fetch(card)
    assert part_of(card).stat().st_size == 10_000


def test_a_wrong_hash_is_refused_and_leaves_nothing(card, server, tiny):
    server.content = tiny.package[:-1] + bytes([tiny.package[-1] ^ 1])
    with pytest.raises(DownloadError, match=f"its SHA-256 is .*; the card says {tiny.sha256}"):
        fetch(card)
    assert files_of(card) == []


def test_a_server_cannot_fill_the_disk(make_card, published, server, tiny):
    server.content = tiny.package * 10
    card = make_card(published)
    with pytest.raises(DownloadError, match=f"sends more than {len(tiny.package)} bytes"):
        fetch(card)
    assert len(server.asked) == 1
    assert part_of(card).stat().st_size == 0


def test_right_hash_and_wrong_weights_are_refused(card, tiny):
    stranger = dataclasses.replace(card, fingerprint="0" * 64)
    with pytest.raises(DownloadError, match=f"have the fingerprint {tiny.fingerprint}"):
        fetch(stranger)
    assert not caches.is_on_disk(stranger)


def test_without_a_fingerprint_the_files_hash_vouches_and_names_what_is_kept(make_card, published, tiny):
    card = make_card(published, fingerprint=None)
    path = fetch(card)
    assert path == caches.verify(card)
    assert files_of(card) == [f"{tiny.sha256}.safetensors"]
    assert read(path).fingerprint == tiny.fingerprint


@pytest.mark.parametrize("digits", [8, 12])
def test_the_beginning_of_a_hash_is_compared_where_no_more_is_published(
    digits, make_card, published, server, tiny
):
    prefix = tiny.sha256[:digits]
    card = make_card(dataclasses.replace(published, sha256=None, sha256_prefix=prefix), fingerprint=None)
    server.cut_after = 100_000
    fetch(card)
    assert server.asked[1].startswith("bytes=")  # it was continued
    assert files_of(card) == [f"{prefix}.safetensors"]
    caches.verify(card)


def test_a_file_whose_hash_begins_otherwise_is_refused_and_leaves_nothing(make_card, published, tiny):
    wrong = "0" * 8 if tiny.sha256[:8] != "0" * 8 else "1" * 8
    card = make_card(dataclasses.replace(published, sha256=None, sha256_prefix=wrong), fingerprint=None)
    with pytest.raises(DownloadError, match=f"its SHA-256 is {tiny.sha256}; the card says {wrong}…"):
        fetch(card)
    assert files_of(card) == []


def test_weights_alone_are_read_as_the_card_says(make_card, published, server, tiny):
    server.content = bare({name: value.float() for name, value in tiny.state.items()})
    digest = hashlib.sha256(server.content).hexdigest()
    card = make_card(dataclasses.replace(published, sha256=digest, bytes=None), fingerprint=None)
    package = read(fetch(card))
    assert package.fingerprint == tiny.fingerprint
    assert package.architecture == "htdemucs"
    assert package.config["channels"] == card.config["channels"]


def test_the_cards_names_of_the_sources_win(make_card, published, tiny):
    names = ("kick", "snare")
    card = make_card(published, sources=names, config={"sources": list(names)}, fingerprint=None)
    package = read(fetch(card))
    assert package.fingerprint == tiny.fingerprint
    assert package.config["sources"] == list(names)
    assert package.config["channels"] == 8  # the file's own, not the architecture's default


def by_hand(**changes) -> WeightFile:
    return WeightFile("manual", "th", filename="tiny.th", page="https://example.org/page", **changes)


def test_what_only_a_person_can_fetch_is_explained_and_never_asked_for(make_card, server):
    card = make_card(by_hand(), fingerprint=None)
    for offline in (False, True):
        with pytest.raises(DownloadError) as caught:
            fetch(card, offline=offline)
        for words in ("tiny must be fetched by hand", "https://example.org/page", "look for tiny.th"):
            assert words in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("hashed", [True, False])
def test_what_a_person_has_fetched_is_kept_and_guarded(hashed, make_card, tiny, tmp_path):
    known = {"sha256": tiny.sha256} if hashed else {}
    card = make_card(by_hand(**known), fingerprint=None)
    (tmp_path / "tiny.th").write_bytes(tiny.package)
    place = fetch(card, folder=tmp_path)
    assert fetch(card) == fetch(card, offline=True) == caches.verify(card) == place
    assert files_of(card) == [f"{tiny.sha256 if hashed else 'tiny'}.safetensors"]


def test_a_hash_is_believed_more_than_a_files_name(make_card, tmp_path, tiny):
    card = make_card(by_hand(sha256="1" * 64), fingerprint=None)
    (tmp_path / "tiny.th").write_bytes(tiny.package)
    with pytest.raises(DownloadError, match="must be fetched by hand"):
        fetch(card, folder=tmp_path)


def test_a_source_for_persons_is_left_out_among_others(make_card, published, server):
    fetch(make_card(by_hand(), published))
    assert server.asked == [None]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_each_source_is_tried_until_one_works(make_card, published, server):
    card = make_card(
        WeightFile("url", "th", "1" * 64, url=f"http://127.0.0.1:{closed_port()}/a.th"),
        dataclasses.replace(published, sha256="2" * 64, bytes=None),
        published,
    )
    fetch(card)
    caches.verify(card)
    assert server.asked == [None, None]


def test_when_all_sources_fail_each_says_why(make_card, server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("PATH", "")
    server.status = 404
    port = closed_port()
    card = make_card(
        WeightFile("url", "th", "1" * 64, url=f"http://127.0.0.1:{port}/a.th"),
        WeightFile("hub", "safetensors", repo="owner/model", filename="b.safetensors"),
        WeightFile("npm", "onnx", "1" * 64, 9, package="c", version="2", member="d", archive_sha256="1" * 64),
    )
    with pytest.raises(DownloadError) as caught:
        fetch(card)
    for reason in (
        "tiny could not be fetched from any of its sources",
        f"http://127.0.0.1:{port}/a.th: no connection",
        "hub owner/model/b.safetensors: the server answered 404 Not Found",
        "npm package c 2: the npm client is not installed",
    ):
        assert reason in str(caught.value)
    assert files_of(card) == []


@pytest.mark.parametrize("sound", [True, False])
def test_a_file_without_a_published_hash_is_vouched_for_by_its_fingerprint(
    sound, make_card, server, tiny, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    hub = WeightFile("hub", "safetensors", repo="owner/model", filename="tiny.safetensors")
    card = make_card(hub)
    write(
        Package("tiny", "htdemucs", card.config, tiny.state, tiny.fingerprint), tmp_path / "tiny.safetensors"
    )
    content = bytearray((tmp_path / "tiny.safetensors").read_bytes())
    content[-1] ^= not sound
    server.content = bytes(content)
    if sound:
        fetch(card)
        caches.verify(card)
    else:
        with pytest.raises(DownloadError, match="the file is damaged, or of another model"):
            fetch(card)
        assert files_of(card) == []


def test_offline_asks_nobody_and_says_what_would_help(card, server, tiny, tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(DownloadError) as caught:
            fetch(card, folder=folder, offline=True)
        assert f"tiny.th (SHA-256 {tiny.sha256})" in str(caught.value)
        assert str(folder or caches.path_of(card).parent) in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("name", ["tiny.th", "renamed.pt", "any.ckpt", "x.th.gz"])
def test_a_file_with_the_right_hash_in_the_users_folder_is_taken(name, card, server, tiny, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.th").write_bytes(bytes(len(tiny.package)))
    (mine / "b.th").write_bytes(b"no weights")
    (mine / name).write_bytes(tiny.package)
    assert fetch(card, folder=mine, offline=True) == caches.verify(card)
    assert server.asked == []


def test_the_zoos_own_file_in_the_users_folder_is_used_where_it_lies(card, tmp_path, cache):
    own = fetch(card)
    moved = own.replace(tmp_path / own.name)
    assert fetch(card, folder=tmp_path, offline=True) == moved
    assert cache in own.parents


def test_a_folder_without_the_weights_is_no_obstacle(card, server, tmp_path):
    (tmp_path / "tiny.th").write_bytes(b"something else")
    fetch(card, folder=tmp_path)
    assert server.asked == [None]


def test_a_hub_file_in_the_users_folder_must_hold_the_right_weights(make_card, tmp_path):
    card = make_card(WeightFile("hub", "safetensors", repo="owner/model", filename="tiny.safetensors"))
    (tmp_path / "tiny.safetensors").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match=r"tiny\.safetensors"):
        fetch(card, folder=tmp_path, offline=True)


def test_a_folder_that_is_none_is_said(card, tmp_path):
    with pytest.raises(UsageError, match="it is no folder"):
        fetch(card, folder=tmp_path / "missing")


def test_a_folder_of_weights_that_may_not_be_read_is_the_machines_matter(card, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(MachineError, match=f"{tmp_path} cannot be read: Permission denied"):
        fetch(card, folder=tmp_path, offline=True)


def test_cancelling_keeps_what_has_come(card, server, tiny):
    stop = threading.Event()

    def listen(event) -> None:
        if event.done > 20_000:
            stop.set()

    with pytest.raises(Cancelled, match="kept for the next time"):
        fetch(card, listener=listen, cancel=stop)
    kept = part_of(card).stat().st_size
    assert 20_000 < kept < len(tiny.package)
    assert files_of(card) == [part_of(card).name]
    fetch(card)
    assert server.asked == [None, f"bytes={kept}-"]


def test_many_at_once_fetch_it_once(card, server, tiny):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(card))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert paths == [caches.verify(card)] * 4
    assert server.asked == [None]
    assert files_of(card) == [f"{tiny.fingerprint}.safetensors"]


def test_two_that_race_without_a_lock_never_make_a_wrong_file(card, monkeypatch):
    monkeypatch.setattr("unbraid.zoo.lock._taken", lambda _handle: True)
    failures = []

    def run() -> None:
        try:
            fetch(card)
        except (DownloadError, MachineError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if not caches.is_on_disk(card):
        assert len(failures) == 4
        fetch(card)
    caches.verify(card)


def test_a_cache_that_cannot_be_written_is_the_machines_error(card, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(MachineError, match="UNBRAID_CACHE"):
        fetch(card, cache=blocked)
