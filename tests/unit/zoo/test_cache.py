from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import platformdirs
import pytest

from unbraid.errors import Cancelled, MachineError, WeightsError
from unbraid.zoo import cache as caches
from unbraid.zoo import catalog
from unbraid.zoo.convert import write
from unbraid.zoo.lock import locked, locked_if_free
from unbraid.zoo.package import Package, fingerprint


def test_the_environment_is_read_when_asked_not_when_imported(monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "a"))
    assert caches.root() == tmp_path / "a"
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "b"))
    assert caches.root() == tmp_path / "b"
    assert caches.root(tmp_path / "c") == tmp_path / "c"
    monkeypatch.delenv("UNBRAID_CACHE")
    assert caches.root() == platformdirs.user_cache_path("unbraid", appauthor=False)


def test_a_home_in_the_environment_is_understood(monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", "~/weights")
    assert caches.root() == Path("~/weights").expanduser()


def test_asking_makes_no_folders(cache):
    card = catalog.card("htdemucs")
    assert caches.path_of("htdemucs") == cache / "models/htdemucs" / f"{card.fingerprint}.safetensors"
    assert not caches.is_on_disk("htdemucs")
    assert caches.sizes() == {}
    assert caches.prune() == caches.Pruned((), 0)
    assert not cache.exists()


def test_verify_passes_what_is_sound_and_says_what_is_not(cache, tiny, make_card, published):
    card = make_card(published)
    place = caches.path_of(card)
    with pytest.raises(WeightsError, match="is not on disk"):
        caches.verify(card)
    place.parent.mkdir(parents=True)
    write(Package("tiny", "htdemucs", card.config, tiny.state, tiny.fingerprint), place)
    assert caches.verify(card) == place
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 1
    place.write_bytes(damaged)
    with pytest.raises(WeightsError, match=r"fingerprint .* was expected"):
        caches.verify(card)
    assert cache in place.parents


def test_another_model_under_the_right_name_is_found_out(cache, tiny, make_card, published):
    card = make_card(published)
    place = caches.path_of(card)
    place.parent.mkdir(parents=True)
    other = {**tiny.state, "encoder.0.conv.bias": tiny.state["encoder.0.conv.bias"] + 1}
    write(Package("tiny", "htdemucs", card.config, other, fingerprint(other)), place)
    with pytest.raises(WeightsError, match=tiny.fingerprint):
        caches.verify(card)
    assert cache in place.parents


def test_without_a_fingerprint_damage_and_strangers_are_found_out_all_the_same(
    cache, tiny, make_card, published
):
    card = make_card(published, fingerprint=None)
    place = caches.path_of(card)
    assert place == cache / "models/tiny" / f"{published.sha256}.safetensors"
    place.parent.mkdir(parents=True)
    write(Package("other", "htdemucs", card.config, tiny.state, tiny.fingerprint), place)
    with pytest.raises(WeightsError, match="holds the weights of other, not those of tiny"):
        caches.verify(card)
    write(Package("tiny", "htdemucs", card.config, tiny.state, tiny.fingerprint), place)
    assert caches.verify(card) == place
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 1
    place.write_bytes(damaged)
    with pytest.raises(WeightsError, match=f"{tiny.fingerprint} was expected"):
        caches.verify(card)


def test_every_model_has_a_place_of_its_own(cache):
    cards = [card for card in catalog.cards() if card.has_weights and not card.weights_of]
    places = [caches.path_of(card) for card in cards]
    assert len({str(place).lower() for place in places}) == len(places)
    assert all(place.parent.parent == cache / "models" for place in places)


def _fill(cache: Path) -> dict[str, Path]:
    known = caches.path_of("htdemucs")
    paths = {
        "known": known,
        "part": known.parent / f"{'1' * 64}.part",
        "stale": known.parent / f"{'2' * 64}.safetensors",
        "stale too": known.parent / f"{'2' * 8}.safetensors",
        "by hand": caches.path_of("wave_u_net.m6"),
        "scratch": known.parent / ".fetch-abc" / "x.onnx",
        "orphan": cache / "models/gone" / f"{'3' * 64}.safetensors",
        "theirs": cache / "models/notes.txt",
        "theirs too": cache / "models/htdemucs/my-own.safetensors",
    }
    for size, path in enumerate(paths.values(), start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    return paths


def test_prune_removes_exactly_what_is_of_no_use(cache):
    paths = _fill(cache)
    foreseen = caches.prune(dry_run=True)
    assert all(path.exists() for path in paths.values())
    pruned = caches.prune()
    assert pruned == foreseen
    assert pruned.bytes == 2 + 3 + 4 + 6 + 7
    left = {name for name, path in paths.items() if path.exists()}
    assert left == {"known", "by hand", "theirs", "theirs too"}
    assert not (cache / "models/gone").exists()


def test_prune_leaves_a_model_alone_that_is_being_fetched(cache):
    paths = _fill(cache)
    with locked(caches.lock_of("htdemucs")):
        caches.prune()
        assert paths["part"].exists()
        assert paths["scratch"].exists()


def test_sizes_are_what_lies_on_disk(cache):
    _fill(cache)
    assert caches.sizes() == {"gone": 7, "htdemucs": 1 + 2 + 3 + 4 + 6 + 9, "wave_u_net.m6": 5}


def test_a_refusal_of_the_system_is_one_sentence_with_a_way_out(tmp_path):
    def refuse():
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(MachineError, match=r"No space left on device; .*UNBRAID_CACHE"),
        caches.usable(tmp_path),
    ):
        refuse()


@pytest.mark.parametrize("ask", [caches.is_on_disk, caches.verify])
def test_a_cache_that_may_not_be_read_is_the_machines_matter(cache, monkeypatch, ask):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", refuse)
        with pytest.raises(MachineError, match=rf"cannot use {cache}.*Permission denied"):
            ask("htdemucs")
    (cache / "models").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        with pytest.raises(MachineError, match=rf"cannot use {cache}.*Permission denied"):
            caches.prune()


def test_only_one_holds_a_lock_and_the_next_waits_for_it(tmp_path):
    path, order = tmp_path / "lock", []

    def wait() -> None:
        with locked(path):
            order.append("second")

    with locked(path):
        other = threading.Thread(target=wait)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]


def test_a_wait_for_a_lock_can_be_cancelled(tmp_path):
    stop = threading.Event()
    stop.set()
    with locked(tmp_path / "lock"), pytest.raises(Cancelled), locked(tmp_path / "lock", stop):
        pass


def test_a_killed_process_lets_go_of_its_lock(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from unbraid.zoo.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with locked_if_free(path) as free:
            assert not free
        process.kill()
    with locked_if_free(path) as free:
        assert free


def test_prune_removes_graphs_whose_weights_are_gone_or_go(cache):
    known, unknown = caches.path_of("htdemucs"), cache / "models/htdemucs" / f"{'1' * 64}.safetensors"
    for weights in (known, unknown):
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
    folders = [caches.graphs_of(name) for name in (known.stem, unknown.stem, "2" * 64)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "graph.onnx").write_bytes(bytes(10))
    foreseen = caches.prune(dry_run=True)
    assert all(folder.is_dir() for folder in folders)
    assert caches.prune() == foreseen == caches.Pruned((unknown, *folders[1:]), 20)
    assert [folder.exists() for folder in folders] == [True, False, False]
