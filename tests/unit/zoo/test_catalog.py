from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from unbraid.config import structure
from unbraid.errors import ConfigError, UnknownModelError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import parameter_count
from unbraid.zoo import catalog
from unbraid.zoo.checkpoint import Checkpoint, WeightFile
from unbraid.zoo.convert import skeleton


@pytest.mark.parametrize("card", catalog.cards(), ids=lambda card: card.name)
def test_a_card_describes_the_network_it_builds(card):
    network = skeleton(card.architecture, card.config)
    assert card.architecture in ARCHITECTURES
    assert network.spec.sources == card.sources
    assert network.spec.sample_rate == card.sample_rate
    assert parameter_count(network) == card.parameters
    assert 2 * card.parameters < card.bytes < 2.01 * card.parameters


@pytest.mark.parametrize("card", catalog.cards(), ids=lambda card: card.name)
def test_a_card_says_what_its_weights_may_be_used_for_and_how_good_they_are(card):
    for text in (card.licence, card.licence_note, card.citation, card.training_data, card.contamination):
        assert text.strip()
    for score in card.scores:
        assert score.metric.startswith("SDR in dB, ")
        assert score.dataset
        assert score.origin
        assert set(score.values) == set(card.sources)


def test_names_and_aliases_are_all_different():
    names = [name for card in catalog.cards() for name in (card.name, *card.aliases)]
    assert len(set(names)) == len(names)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownModelError, match=r"no model is called 'htdemocs'; did you mean htdemucs\?"):
        catalog.card("htdemocs")


def test_a_hopeless_name_is_answered_with_all_names():
    with pytest.raises(UnknownModelError, match=r"there are .*htdemucs"):
        catalog.card("zzz")


def test_a_fingerprint_finds_its_card():
    card = catalog.card("htdemucs")
    assert catalog.card_of(card.fingerprint) == card
    assert catalog.card_of("0" * 64) is None


def test_a_typo_in_a_card_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError, match="unknown key 'licenc'; did you mean licence"):
        structure({**_plain(), "licenc": "MIT"}, Checkpoint)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": "abc"}, "SHA-256 fingerprint"),
        ({"files": []}, "at least one file"),
        ({"scores": [{"metric": "m", "dataset": "d", "origin": "o", "values": {"kazoo": 1.0}}]}, "kazoo"),
        ({"parameters": "many"}, "is no int"),
    ],
)
def test_an_impossible_card_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        structure({**_plain(), **changes}, Checkpoint)


def test_a_weight_file_must_say_all_that_its_kind_needs():
    with pytest.raises(ConfigError, match="lacks member, bytes"):
        WeightFile("npm", "onnx", "0" * 64, package="a", version="1", archive_sha256="0" * 64)


def test_a_short_hash_is_refused():
    with pytest.raises(ConfigError, match="is no SHA-256"):
        WeightFile("url", "th", "8726e21a", url="https://example.org/a.th")


def test_listing_and_card_need_neither_torch_nor_requests():
    code = (
        "import sys, unbraid; unbraid.list_models(); import unbraid.zoo.download, unbraid.zoo.cache as c; "
        "c.is_on_disk('htdemucs'); sys.exit(len({'torch', 'requests', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _plain() -> dict[str, object]:
    plain = dataclasses.asdict(catalog.card("htdemucs"))
    files = [{key: value for key, value in file.items() if value is not None} for file in plain["files"]]
    return {**{key: value for key, value in plain.items() if value is not None}, "files": files}
