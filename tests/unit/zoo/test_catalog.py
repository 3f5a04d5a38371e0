from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys

import pytest

from unbraid.config import structure, unstructure
from unbraid.errors import ConfigError, UnknownModelError, WeightsError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import parameter_count
from unbraid.zoo import catalog
from unbraid.zoo.chains import list_presets
from unbraid.zoo.checkpoint import Checkpoint, WeightFile
from unbraid.zoo.ensembles import ensemble_for, list_ensembles
from unbraid.zoo.package import free_fields, skeleton

# What each published file is known by: its SHA-256, or as much of it as its publisher states.
PUBLISHED = {
    "demucs.v1": "f6c4148ba0dc92242d82d7b3f2af55c77bd7cb4ff1a0a3028a523986f36a3cfd",
    "demucs.v1_extra": "3331bcc5d09ba1d791c3cf851970242b0bb229ce81dbada557b6d39e8c6a6a87",
    "demucs.v1_light": "79d1ee3c1541c729c552327756954340a1a46a11ce0009dea77dc583e4b6269c",
    "demucs.v1_light_extra": "9e9b4af564229c80cc73c95d02d2058235bb054c6874b3cba4d5b26943a5ddcb",
    "demucs.v1_quantized": "e70767bfc9ce62c26c200477ea29a20290c708b210977e3ef2c75ace68ea4be1",
    "demucs.v1_extra_quantized": "f9edcf7fe55ea5ac9161c813511991e4ba03188112fd26a9135bc9308902a094",
    "demucs.v1_light_quantized": "94c091021d8cdee0806b6df0afbeb59e73e989dbc2c16d2c1c370b2edce774fd",
    "demucs.v1_light_extra_quantized": "48bb1a85f5ad0ca400512fcd0dcf91ec94e886a1602a552ee32133f5e09aeae0",
    "demucs.v2": "e07c671f",
    "demucs.v2_48_hq": "28a1282c89ced9b343d284f61ed32cc3d03ce3e9d356076539924189d94c4eb5",
    "demucs.v2_extra": "3646af93",
    "demucs.v2_quantized": "07afea75",
    "demucs.v2_unittest": "09ebc15f",
    "conv_tasnet.v1": "be56693f6a5c4854b124f95bb9dd043f3167614898493738ab52e25648bec8a2",
    "conv_tasnet.v1_extra": "0ccbece3acd98785a367211c9c35b1eadae8d148b0d37fe5a5494d6d335269b5",
    "conv_tasnet.v2": "beb46fac",
    "conv_tasnet.v2_extra": "df3777b2",
    "mdx.0d19c1c6": "0f06f20ed6ddc8058fa72ccc4845f3a88916eff7d007b623924193de217bbcf4",
    "mdx.7ecf8ec1": "70f50cc947d08f32e6dd8e2b687d398fa5ef9e51d1bd7600e32205d1f44be6b9",
    "mdx.c511e2ab": "fe6987756a7087d339bf63b19bb481b12cea02d3bc0de7583df7597210209649",
    "mdx.7d865c68": "3d5dd56b5bc986f136dff98655ded22b2b033f465ccec7a28640a6b15fd71ed6",
    "mdx_extra.e51eebcc": "c1b80bdd6de58274abf359e66822a76f49ce2b9f086fc5dc917ac14598e6bebf",
    "mdx_extra.a1d90b5c": "ae9d245283bf24b552913ee233a1101dcd0aeaed59b1c0a2da0e1f6eda15101b",
    "mdx_extra.5d2d6c55": "db83574e05b2308f76e2764819da673f2d16d437b9e619f5fcb72f275fc0e24f",
    "mdx_extra.cfa93e08": "61801ae1567d606c97a9c3469e943ae306d0a873eeb60d623ae7cfc7042b3f68",
    "repro_mdx_a.9a6b4851": "03af0aa64af2c4f0795659c265fdead238fab31c064a8a4b5b051c1b22c8ad48",
    "repro_mdx_a.1ef250f1": "592467cef0b0d878bc66fe38c8456353ff435334331baab08e1dc82beeefd596",
    "repro_mdx_a.fa0cb7f9": "100d8bf4dc5e228edfd9bb7a2ec44ad9f44d8f0a845964d38ee8c11ea8ca1399",
    "repro_mdx_a.902315c2": "b39ce9c97b5603fbaee99ec59fe1d2db570c77a37356c9c85542d881517c3302",
    "mdx_q.6b9c2ca1": "3fd82607b051e9f8ed0e86a30791023a3b589a427fb994c8bbfdff8c1903eeff",
    "mdx_q.b72baf4e": "8778635e98a9d4b34b3d132300597758f8f3f2978510eb20c202fd0d54a7bbf0",
    "mdx_q.42e558d4": "196e0e1bc5e83ea6ffbf0750b1abae1305b83de12ec98e5b50915a7139c52759",
    "mdx_q.305bc58f": "18378783cf76d44213f7a0c87da872a35b976c31ac11c4b367438b4674a2f0fe",
    "mdx_extra_q.83fc094f": "4a16d450fd8c9277494e23865cadaa4a3e64141c45411d84243b8c95ea4b7cae",
    "mdx_extra_q.464b36d7": "e5a9386ecbf6f30bb2bdc7ae162f471d87f3b5bffba1a8cb2cebe4403280967e",
    "mdx_extra_q.14fc6a69": "a89dd0eeb547221dcfd6c0a47baa768ce0bce548eaf86b9a404d6b1088b5d22f",
    "mdx_extra_q.7fd6ef75": "a905dd8548f7389f1a3686c24c09d7bee61b716e3372e778e2acec88333ecdf4",
    "hdemucs_mmi": "1941ce654b11df4132b9f4eae408556b4c83fad6fe26b4bc0dbcb36b975befb3",
    "hdemucs.musdb_plus": "a004b2790d73ffeaa535db458a1a79b539dfdbafbccc31f275d07e632ebd7816",
    "hdemucs.musdb": None,
    "drumsep": "aefaa8543c9b9c75e22f5f32b53ab86dfe416457849af1383ff1aef83401423f",
    "uvr.model_1": "dbdd521017d706829716055df8a86e7ee5d05a590508488c82ffb551c6edb918",
    "uvr.model_2": "0556f2145e97e96d3c2a33c3879711e7559d7d261fd9773b20e2c580a3beffd0",
    "htdemucs": "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
    "htdemucs_ft.drums": "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066",
    "htdemucs_ft.bass": "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6",
    "htdemucs_ft.other": "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2",
    "htdemucs_ft.vocals": "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
    "htdemucs_6s": "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
    "htdemucs.msst_vocals": "0ea6e9495685045e6b4e66174131be5d19808bb0d6d1a1ba717d238f9380e8d0",
    "cdx23.a": "a778de4a72b90482a578bfb6ea6bf41462785d9136c11802c67a864a40f29434",
    "cdx23.b": "dbb4db154df7e45a5cb72d1659c48937e757f6d6b0eef8ca4199e6e38f8d8f37",
    "cdx23.c": "e41a54684d3cd6794ee2bb59183ffeb11a9a3d42db873a6a08a9829ac3ef4cfe",
    "umxhq": "b62c91ce",  # of the first part
    "umx": "c8df74a5",
    "umxl": "bccbd9aa",
    "umxse": "f5e0d9f9",
    "x_umx": None,
    "x_umx.asteroid": None,
    "kuielab_a": "0c3e77b9963185b1ea6bb46a4b8924137d9370fc1ccdefec7b1b416ef550dcaa",
    "kuielab_b": "b4b7080fe501d0bece62076c5d4eda4d6590c5207ed78ec84a57bac0740a061d",
    "kuielab_a.bass": "0c3e77b9963185b1ea6bb46a4b8924137d9370fc1ccdefec7b1b416ef550dcaa",
    "kuielab_a.drums": "40f586b7091934dd6f5563f0cba8f14bad57ce88440da1098bf388ea716c2901",
    "kuielab_a.other": "7b67a1dcb5f232153528c59960b4c7bf8dc736b8114de360af0e719633f53358",
    "kuielab_a.vocals": "daba83c2ee1afee9139766ad64c9b6808d6b6f092fff04bed3338be50baac721",
    "kuielab_b.bass": "b4b7080fe501d0bece62076c5d4eda4d6590c5207ed78ec84a57bac0740a061d",
    "kuielab_b.drums": "a6fecee758059b33ed99f6dabba297439b3e7cacfac4b1097bd324aff8052208",
    "kuielab_b.other": "b0d0b63950ac332333fea2d58f68c92fd3ab0aae071398c2a8beeae1ad15b655",
    "kuielab_b.vocals": "9b7dcb9d878acb0f3e64ff3fd27750faae96577013f6d50f5996875bf4250713",
    "uvr_mdx.voc_ft": "534b2070fcc7df514b13ef660dc8cbb328679c2374d04354a5c42bb14ecce111",
    "uvr_mdx.kim_vocal_2": "ce74ef3b6a6024ce44211a07be9cf8bc6d87728cc852a68ab34eb8e58cde9c8b",
    "uvr_mdx.kim_vocal_1": None,
    "uvr_mdx.kim_inst": None,
    "uvr_mdx.main": None,
    "uvr_mdx.1": None,
    "uvr_mdx.2": None,
    "uvr_mdx.3": None,
    "uvr_mdx.9482": "f4f365207c56deb115bceedff3ad8fe98a751c745f9e370cecec6226b8b47184",
    "uvr_mdx.kara": "e3167c87333a48548413e972a286bf40bf5694001d2853861eb1435953f02d63",
    "uvr_mdx.kara_2": "bf32e15105a09c0f7dddd2b67346146334d6f3ecb399ed7638eba2ab07cbf5f4",
    "uvr_mdx.inst_hq_5": "811cb24095d865763752310848b7ec86aeede0626cb05749ab35350e46897000",
    "uvr_mdx.inst_hq_4": "3c4b5b9b05090fdf238f38ba5046813982d50e2a652e9cb3324ea79720c3c9c8",
    "uvr_mdx.inst_hq_3": "317554b07fe1ea5279a77f2b1520a41ea4b93432560c4ffd08792c30fddf9adc",
    "uvr_mdx.inst_hq_2": "197f8ab296df850f961e68c595f6649acb7d9e621b5600b460f3458967299112",
    "uvr_mdx.inst_hq_1": None,
    "uvr_mdx.inst_main": None,
    "uvr_mdx.inst_1": None,
    "uvr_mdx.inst_2": None,
    "uvr_mdx.inst_3": None,
    "uvr_mdx.crowd_hq_1": None,
    "uvr_mdx.reverb_hq": "233bb5c6aaa365e568659a0a81211746fa881f8f47f82d9e864fce1f7692db80",
    "d3net": None,
    "lasaft.large_2019": "f9022f2c7c513a826932deb2e91f63858ee5b7d6cd5afcdfdac1cd012231ac0f",
    "lasaft.large_2020": "d14d2dd27ed568f552be88e9ed4d8bb8ca2722e03c936ea16e8e260ab49da9f1",
    "lasaft.large_2021": "8a5320702a3315088f455dbb4c541b6b9aaa3f16296358fe026c501de65973d9",
    "spleeter.2stems": "f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692",
    "spleeter.2stems_16khz": "f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692",
    "spleeter.2stems_mwf": "f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692",
    "spleeter.4stems": "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8",
    "spleeter.4stems_16khz": "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8",
    "spleeter.4stems_mwf": "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8",
    "spleeter.5stems": "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218",
    "spleeter.5stems_16khz": "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218",
    "spleeter.5stems_mwf": "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218",
    "wave_u_net.m4": "b077ff52847ac868439a5c75b6928c73201f9ef88ff391d4548e2d94146c3961",
    "wave_u_net.m5_high_sr": None,
    "wave_u_net.m6": None,
}


# What the community trained: a hundred files and more, many of one network.
COMMUNITY = frozenset(
    (
        "apollo",
        "bandit",
        "bs_roformer",
        "mdx23c",
        "mel_band_roformer",
        "scnet",
        "segm",
        "swin_upernet",
        "vr_net",
    )
)


def of_each_network():
    """The cards, but of those with the same network only the first."""
    first = {}
    for card in catalog.cards():
        free = {"sources"} if card.architecture in COMMUNITY else set()
        config = {key: value for key, value in card.config.items() if key not in free}
        first.setdefault((card.architecture, json.dumps(config), len(card.sources), card.parameters), card)
    return list(first.values())


@pytest.mark.parametrize("card", of_each_network(), ids=lambda card: card.name)
def test_a_card_describes_the_network_it_builds(card):
    try:
        network = skeleton(card.architecture, card.config)
    except WeightsError as error:
        if "unbraid[backbones]" not in str(error):
            raise
        pytest.skip(str(error))
    assert card.architecture in ARCHITECTURES
    assert network.spec.sources == card.sources
    assert network.spec.sample_rate == card.sample_rate
    assert parameter_count(network) == card.parameters
    assert any(math.isclose(card.bytes, width * card.parameters, rel_tol=0.01) for width in (2, 4))
    assert card.has_weights == bool(network.state_dict())


@pytest.mark.parametrize("card", catalog.cards(), ids=lambda card: card.name)
def test_a_card_says_what_its_weights_may_be_used_for_and_how_good_they_are(card):
    for text in (card.licence, card.licence_note, card.citation, card.training_data, card.contamination):
        assert text.strip()
    for score in card.scores:
        assert score.metric.startswith("SDR in dB, ")
        assert score.dataset
        assert score.origin
        assert score.values
        assert set(score.values) <= set(card.sources) or set(score.values) == {"mean"}


def test_every_published_file_has_its_card():
    cards = [c for c in catalog.cards() if c.has_weights and c.architecture not in COMMUNITY]
    assert {card.name: card.files[0].hash for card in cards} == PUBLISHED


@pytest.mark.parametrize(
    ("stem", "sha256"),
    {
        "MelBandRoformer": "87201f4d31afb5bc",
        "model_bs_roformer_ep_317_sdr_12.9755": "5b84f37e8d444c8c",
        "MDX23C-DrumSep-aufr33-jarredou": "d2a4aa53eb584d21",
        "model_bandit_plus_dnr_sdr_11.47": "c48284779f7d1258",
        "UVR-DeEcho-DeReverb": "e644028ec82865dc",
        "5_HP-Karaoke-UVR": "fe00891defbb61f4",
        "scnet_checkpoint_musdb18": "1bc0d1abb20bfdf9",
        "Apollo_LQ_MP3_restoration": "99d9af7f1ff20e63",
    }.items(),
)
def test_a_file_of_the_community_is_found_by_its_name_and_its_hash(stem, sha256):
    card = catalog.card(stem)
    assert card.files[0].sha256.startswith(sha256)
    assert catalog.card_of_file(card.files[0].sha256, "renamed.ckpt") == card


def test_all_places_of_a_communitys_file_hold_the_same_file_and_a_stated_length_is_its_weights():
    for card in catalog.cards():
        if card.architecture in COMMUNITY:
            assert len({(file.hash, file.bytes, file.part) for file in card.files}) == 1
            length = card.files[0].bytes
            # Bandit's second version and Swin UperNet hold what only training uses.
            if length and card.architecture not in {"bandit", "swin_upernet"}:
                assert math.isclose(length, card.bytes, rel_tol=0.03), card.name


def test_what_models_of_a_file_share_is_said_once():
    kim, tuned = catalog.card("mel.kim"), catalog.card("mel.gabox_inst_7")
    assert (tuned.parameters, tuned.licence) == (kim.parameters, kim.licence)
    assert tuned.config == {"sources": ["accompaniment"], "segment": 485_100}
    assert [file.kind for file in catalog.card("vr.1_hp").files] == ["url", "hub", "hub"]
    assert catalog.card("vr.1_hp").files[1].repo == "Politrees/UVR_resources"
    assert kim.scores[0].dataset == "MVSep Multisong, private"


@pytest.mark.parametrize("card", catalog.cards(), ids=lambda card: card.name)
def test_the_hash_in_a_files_name_and_in_an_alias_is_that_of_the_file(card):
    for file in card.files:
        stem = (file.name.split(".")[0]).split("-")
        if file.kind == "url" and len(stem) == 2 and re.fullmatch("[0-9a-f]{8}", stem[1]):
            assert file.hash.startswith(stem[1])
            names = {stem[0], stem[1], "-".join(stem)}
            assert file.part or names & {*card.aliases}  # a part is no model


def test_models_that_share_weights_differ_in_nothing_that_would_change_them():
    for card in catalog.cards():
        if card.weights_of:
            lender = catalog.card(card.weights_of)
            ours, theirs = (unstructure(skeleton(c.architecture, c.config).config) for c in (card, lender))
            assert card.architecture == lender.architecture
            assert lender.weights_of is None
            assert {key for key in ours if ours[key] != theirs[key]} <= free_fields(card.architecture)


def test_what_nobody_vouches_for_says_so():
    cards = [card for card in catalog.cards() if card.has_weights and not card.fingerprint]
    unknown = [card for card in cards if not card.files[0].hash]
    assert {card.is_by_hand for card in unknown} == {True, False}
    for card in unknown:
        assert ("that you gave" if card.is_by_hand else "that was fetched first") in card.vouched_by


def test_a_model_that_has_seen_a_test_set_says_so():
    seen = {name for name in PUBLISHED if "trained on it" in catalog.card(name).contamination}
    extra = {name for name in PUBLISHED if name.startswith("mdx_extra")}
    assert seen == {*extra, "hdemucs.musdb_plus"}


def test_names_and_aliases_are_all_different():
    names = [name for card in catalog.cards() for name in (card.name, *card.aliases)]
    names += [name for known in list_ensembles() for name in (known, *ensemble_for(known).aliases)]
    assert len(set(names)) == len(names)


def test_every_model_is_in_one_family_and_the_youngest_family_is_first():
    families = catalog.families()
    assert tuple(name for names in families.values() for name in names) == catalog.list_models()
    assert next(iter(families)) == "Apollo"


@pytest.mark.parametrize("name", list_ensembles())
def test_the_members_of_an_ensemble_are_known_as_such(name):
    alone = {member.model for member in ensemble_for(name).members if not catalog.card(member.model).member}
    assert alone <= {"kuielab_a", "kuielab_b", "demucs.v2", "demucs.v2_extra"}  # good by themselves, too


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownModelError, match="no model is called 'htdemocs'; did you mean htdemucs"):
        catalog.card("htdemocs")


def test_a_hopeless_name_is_answered_with_all_names():
    with pytest.raises(UnknownModelError, match=r"there are .*htdemucs") as caught:
        catalog.card("zzz")
    names = str(caught.value).split("there are ")[1].split(", ")
    alone = (card.name for card in catalog.cards() if not card.member)
    assert set(names) == {*list_presets(), *list_ensembles(), *alone}


@pytest.mark.parametrize(
    ("name", "near"), [("mdx_extar", "mdx_extra"), ("0d19c1c7", "0d19c1c6"), ("baseline_stere", "baseline_s")]
)
def test_aliases_and_ensembles_are_offered_too(name, near):
    with pytest.raises(UnknownModelError, match=f"did you mean .*{near}"):
        catalog.card(name)


def test_a_fingerprint_finds_its_card():
    card = catalog.card("htdemucs")
    assert catalog.card_of(card.fingerprint) == card
    assert catalog.card_of("0" * 64) is None


@pytest.mark.parametrize(("name", "known"), PUBLISHED.items(), ids=PUBLISHED)
def test_a_published_file_finds_its_card(name, known):
    card = catalog.card(catalog.card(name).weights_of or name)  # not the one that borrows them
    if known:
        found = catalog.card_of_file(f"{known:0<64}", "renamed.bin")
        # What is a part of one model may be the whole of another, which a file alone then is.
        assert found == card or (card.files[0].part and not found.files[0].part)
    else:
        assert catalog.card_of_file("0" * 64, card.files[0].name) == card


def test_an_unknown_file_finds_no_card_and_a_name_counts_only_where_no_hash_is_known():
    assert catalog.card_of_file("0" * 64, "mine.th") is None
    assert catalog.card_of_file("0" * 64, "demucs.th") is None
    assert catalog.card_of_file("0" * 64, "baseline_stereo-186093.index") is None


def test_a_typo_in_a_card_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError, match="unknown key 'licenc'; did you mean licence"):
        structure({**_plain(), "licenc": "MIT"}, Checkpoint)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": "abc"}, "'abc' is no fingerprint"),
        ({"files": []}, "at least one file"),
        ({"scores": [{"metric": "m", "dataset": "d", "origin": "o", "values": {"kazoo": 1.0}}]}, "kazoo"),
        ({"parameters": "many"}, "is no int"),
    ],
)
def test_an_impossible_card_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        structure({**_plain(), **changes}, Checkpoint)


def test_without_a_fingerprint_all_files_of_a_part_must_be_the_same(make_card, published):
    hub = WeightFile("hub", "safetensors", repo="owner/model", filename="a.safetensors")
    for files in ((published, hub), (published, dataclasses.replace(published, sha256="1" * 64))):
        with pytest.raises(ConfigError, match="without a fingerprint, all files of a part need one"):
            make_card(*files, fingerprint=None)
    assert "that was fetched first" in make_card(hub, fingerprint=None).vouched_by


PAGE = "https://example.org"
BY_HAND = WeightFile("manual", "th", filename="a.pt", page=PAGE)
URL = WeightFile("url", "th", "1" * 64, url="https://example.org/a.th")
PREFIXED = dataclasses.replace(URL, sha256=None, sha256_prefix="12345678")


@pytest.mark.parametrize(
    ("file", "fingerprint", "identity", "words"),
    [
        (URL, "2" * 64, "2" * 64, "each value is that of the card's fingerprint"),
        (URL, None, "1" * 64, "from the file whose SHA-256 is the card's"),
        (PREFIXED, None, "12345678", "begins with 12345678, all that its publisher states"),
        (BY_HAND, None, "tiny", "from the file that you gave"),
    ],
)
def test_weights_are_kept_under_what_vouches_for_them(file, fingerprint, identity, words, make_card):
    card = make_card(file, fingerprint=fingerprint)
    assert card.identity == identity
    assert words in card.vouched_by
    assert card.is_by_hand == (file.kind == "manual")


def test_a_weight_file_must_say_all_that_its_kind_needs():
    with pytest.raises(ConfigError, match="lacks member, bytes"):
        WeightFile("npm", "onnx", "0" * 64, package="a", version="1", archive_sha256="0" * 64)


def test_a_short_hash_is_refused():
    with pytest.raises(ConfigError, match="is no SHA-256"):
        WeightFile("url", "th", "8726e21a", url="https://example.org/a.th")


@pytest.mark.parametrize("changes", [{"sha256_prefix": "8726e21"}, {"sha256_prefix": "8726E21A"}])
def test_a_prefix_has_eight_digits_and_does_not_stand_beside_a_hash(changes):
    with pytest.raises(ConfigError, match="cannot stand for a SHA-256"):
        dataclasses.replace(PREFIXED, **changes)
    with pytest.raises(ConfigError, match="cannot stand for a SHA-256"):
        dataclasses.replace(URL, sha256_prefix="1" * 8)


@pytest.mark.parametrize(
    ("kind", "given", "lacks"),
    [("url", {"sha256": "1" * 64}, "lacks url"), ("manual", {"filename": "a.th"}, "lacks page")],
)
def test_a_download_needs_an_address_and_a_person_needs_a_page(kind, given, lacks):
    with pytest.raises(ConfigError, match=lacks):
        WeightFile(kind, "th", **given)


def test_a_hash_fits_only_files_that_have_it_from_its_first_digit():
    assert PREFIXED.has_hash("12345678" + 56 * "a")
    assert not PREFIXED.has_hash("a12345678" + 55 * "a")
    assert URL.has_hash("1" * 64)
    assert not BY_HAND.has_hash("1" * 64)
    assert not BY_HAND.has_hash("")


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


def test_what_a_network_of_one_source_leaves_has_a_name():
    """A restored recording alone is not less than what it was made of."""
    alone = [known for known in catalog.cards() if len(known.sources) == 1 and known.has_weights]
    assert len(alone) > 80
    assert {known.architecture for known in alone if known.rest is None} == {"apollo"}


def test_the_rest_is_no_source(make_card, published):
    with pytest.raises(ConfigError, match="its rest is called vocals, as one of its sources is"):
        make_card(published, rest="vocals")
