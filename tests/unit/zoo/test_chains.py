"""Chains as they are written: what is understood, what is refused, and what follows from it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unbraid.errors import ConfigError, UnknownModelError, UsageError
from unbraid.zoo import catalog
from unbraid.zoo.chains import chain_for, list_presets, preset
from unbraid.zoo.ensembles import ensemble_for, list_ensembles, list_models
from unbraid.zoo.load import card_for
from unbraid.zoo.steps import unspelt

VOICES = """
[[steps]]
separate = "mixture"
model = "htdemucs"
into = ["vocals"]
"""
BAND = """
[[steps]]
subtract = "vocals"
from = "mixture"
into = "band"
"""
HPSS = "[[steps]]\nseparate = 'mixture'\nmodel = 'hpss'\n"
BLEND = "[[steps]]\nblend = ['mixture']\ninto = 'a'\n"
LEAD = """
[[steps]]
separate = "vocals"
model = "uvr_mdx.kara"
into = { lead_vocals = "lead", accompaniment = "choir" }
"""


@pytest.fixture
def chain(tmp_path):
    """The chain that a text describes."""

    def chain(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return chain_for(path)

    return chain


def makes(steps):
    return [name for step in steps for name in step.makes]


def test_what_no_step_hears_comes_out_unless_stems_are_named(chain):
    assert chain(VOICES + BAND + LEAD).sources == ("band", "lead", "choir")
    named = chain('stems = ["lead", "vocals"]\n' + VOICES + BAND + LEAD)
    assert named.sources == ("lead", "vocals")
    assert named.between == ("band", "choir")


def test_steps_may_stand_in_any_order(chain):
    shuffled = chain(LEAD + BAND + VOICES)
    assert makes(shuffled.needed(shuffled.signals)) == ["vocals", "lead", "choir", "band"]


@pytest.mark.parametrize(
    ("signals", "made", "models"),
    [
        (["vocals"], ["vocals"], ("htdemucs",)),
        (["band"], ["vocals", "band"], ("htdemucs",)),
        (["choir"], ["vocals", "lead", "choir"], ("htdemucs", "uvr_mdx.kara")),
    ],
)
def test_only_what_is_needed_is_done(chain, signals, made, models):
    found = chain(VOICES + BAND + LEAD)
    assert makes(found.needed(signals)) == made
    assert found.models(signals) == models


def test_of_an_ensemble_only_the_members_that_are_needed_are(chain):
    found = chain('[[steps]]\nseparate = "mixture"\nmodel = "htdemucs_ft"\ninto = ["vocals", "bass"]\n')
    assert found.models() == ("htdemucs_ft.bass", "htdemucs_ft.vocals")
    assert found.models(["bass"]) == ("htdemucs_ft.bass",)


def test_sources_keep_their_names_unless_others_are_given(chain):
    assert chain('[[steps]]\nseparate = "mixture"\nmodel = "hpss"\n').sources == ("harmonic", "percussive")
    renamed = 'steps = [{ separate = "mixture", model = "hpss", into = { percussive = "hits" } }]'
    assert chain(renamed).sources == ("hits",)


@pytest.mark.parametrize(
    ("signals", "adds_up"),
    [
        (["vocals", "band"], True),
        (["lead", "choir", "band"], True),
        (["lead", "choir", "band", "vocals"], False),
        (["band", "band", "vocals"], False),
        (["lead", "band"], False),
        (["band"], False),
    ],
)
def test_what_adds_up_follows_from_the_steps(chain, signals, adds_up):
    assert chain(VOICES + BAND + LEAD).adds_up(signals) is adds_up


def test_what_a_blend_is_made_of_stands_for_it(chain):
    found = chain(
        VOICES
        + '[[steps]]\nseparate = "mixture"\nmodel = "repet"\ninto = { vocals = "voice" }\n'
        + '[[steps]]\nblend = ["vocals", "voice"]\ninto = "both"\nrule = "min"\ndomain = "spectrum"\n'
        + '[[steps]]\nsubtract = "both"\nfrom = "mixture"\ninto = "rest_of_it"\n'
    )
    assert found.adds_up(["vocals", "rest_of_it"])
    assert not found.adds_up(["vocals", "both"])


def test_members_that_know_other_sources_promise_no_sum(chain):
    step = '[[steps]]\nseparate = "mixture"\nmembers = [{{ model = "{}" }}, {{ model = "{}" }}]\n'
    alike = chain(step.format("uvr_mdx.voc_ft", "uvr_mdx.kim_inst"))
    assert alike.adds_up(["vocals", "accompaniment"])
    unlike = chain(step.format("htdemucs", "uvr_mdx.voc_ft"))
    assert not unlike.adds_up(unlike.sources)


def test_a_model_may_lie_beside_the_chain(chain, tmp_path):
    (tmp_path / "own.th").write_bytes(b"weights")
    text = '[[steps]]\nseparate = "mixture"\nmodel = "own.th"\ninto = ["vocals"]\n'
    (step,) = chain(text).steps
    assert step.model == str(tmp_path / "own.th")
    assert unspelt(step) == {"separate": "mixture", "model": "own.th", "into": {"vocals": "vocals"}}
    with pytest.raises(ConfigError, match="say in `into` which"):
        chain(text.replace('into = ["vocals"]', ""))


def test_a_chain_is_neither_an_ensemble_nor_one_network(chain, tmp_path):
    chain(VOICES)
    assert ensemble_for(tmp_path / "mine.toml") is None
    for name in (tmp_path / "mine.toml", "karaoke"):
        with pytest.raises(UsageError, match="is a chain, not one network"):
            card_for(name)
    (tmp_path / "both.toml").write_text('[[members]]\nmodel = "htdemucs"\n')
    assert chain_for(tmp_path / "both.toml") is None
    assert chain_for("htdemucs") is None


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("steps = []", ConfigError, "1 to 64 steps, and this has 0"),
        ("steps = 1", ConfigError, "steps is no list"),
        ("steps = [1]", ConfigError, "step 1: a step says one of separate, subtract, sum, blend"),
        ("[[steps]]\nseperate = 'mixture'", ConfigError, "says none of them; did you mean separate"),
        ("[[steps]]\nsum = ['mixture']\nblend = ['mixture']", ConfigError, "says sum and blend"),
        ("[[steps]]\nseparate = 'mixture'", ConfigError, "to be separated with nothing"),
        (HPSS + "members = [{ model = 'hpss' }]", ConfigError, "two"),
        (HPSS + "rule = 'min'", ConfigError, "are for `members`"),
        ("[[steps]]\nseparate = 'mixture'\nmodle = 'hpss'", ConfigError, "'modle'; did you mean model"),
        ("[[steps]]\nseparate = 'mixture'\nmodel = 'hpsss'", UnknownModelError, "did you mean hpss"),
        ("[[steps]]\nseparate = 'mixture'\nmodel = 'no/such.th'", UnknownModelError, "no/such.th"),
        ("[[steps]]\nseparate = 'mixture'\nmodel = 'karaoke'", ConfigError, "karaoke is a chain itself"),
        (HPSS + "into = ['percusive']", ConfigError, "no 'percusive'; did"),
        (HPSS + "into = { percussive = 'a,b' }", ConfigError, "'a,b' cannot"),
        (HPSS + "into = { percussive = 'rest' }", ConfigError, "'rest' cannot"),
        (HPSS + "into = 3", ConfigError, "step 1"),
        ("[[steps]]\nsum = ['mixture']\ninto = 'mixture'", ConfigError, "'mixture' is there from the start"),
        ("[[steps]]\nsum = ['mixture', 'mixture']\ninto = 'a'", ConfigError, "each once"),
        ("[[steps]]\nsubtract = []\nfrom = 'mixture'\ninto = 'a'", ConfigError, "each once"),
        ("[[steps]]\nsubtract = ['a']\nform = 'mixture'\ninto = 'b'", ConfigError, "did you mean from"),
        (VOICES + VOICES, ConfigError, "'vocals' is made twice; give it another name in `into`"),
        (VOICES + BAND.replace('"vocals"', '"vocal"'), ConfigError, "hears 'vocal'.*did you mean vocals"),
        ("stems = ['vocal']" + VOICES, ConfigError, "they make vocals; did you mean vocals"),
        ("stem = ['vocals']" + VOICES, ConfigError, "'stem'; did you mean stems"),
        ("level = 'song'" + VOICES, ConfigError, "level"),
        (BLEND + "weights = { mixtur = 1 }", ConfigError, "did you mean mixture"),
        (BLEND + "weights = { mixture = 0 }", ConfigError, "more than 0"),
        (BLEND + "rule = 'loudest'", ConfigError, "rule"),
        (
            "[[steps]]\nsum = ['b', 'mixture']\ninto = 'a'\n[[steps]]\nsum = ['a']\ninto = 'b'",
            ConfigError,
            "wait for each other: b needs a needs b",
        ),
        ("[[steps]]\nsum = ['mixture']\ninto = 'a'\n" * 65, ConfigError, "1 to 64 steps, and this has 65"),
    ],
)  # fmt: skip
def test_a_chain_that_cannot_be_is_refused_with_its_fault(chain, text, error, words):
    with pytest.raises(error, match=words):
        chain(text)


def test_what_is_no_preset_is_answered_with_what_there_is():
    with pytest.raises(UnknownModelError, match="no preset is called 'karaok'; did you mean karaoke"):
        preset("karaok")
    with pytest.raises(UnknownModelError, match=r"there are acapella, .*karaoke"):
        preset("zzz")
    with pytest.raises(UnknownModelError, match="give its file as the model"):
        preset("mine.toml")
    with pytest.raises(UnknownModelError, match=r"no ensemble is at .*none\.toml, and no chain"):
        chain_for("none.toml")


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_says_what_it_is_and_its_stems_add_up(name):
    known = preset(name)
    assert known.about.description.endswith(".")
    assert known.adds_up(known.sources)
    for model in known.models(known.signals):
        assert catalog.card(model).has_weights


def test_names_of_presets_are_their_own():
    others = {
        *catalog.list_models(),
        *list_ensembles(),
        *(a for card in catalog.cards() for a in card.aliases),
    }
    assert not others.intersection(list_presets())
    assert list_models()[-len(list_presets()) :] == list_presets()


def test_understanding_a_chain_takes_no_torch():
    code = (
        "import sys; from unbraid.zoo.chains import preset; preset('karaoke'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
