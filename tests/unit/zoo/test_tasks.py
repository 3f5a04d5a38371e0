from __future__ import annotations

import subprocess
import sys

import pytest

from unbraid.errors import UsageError
from unbraid.zoo.catalog import card, cards
from unbraid.zoo.tasks import TASKS, all_sources, for_task, search, sources_called, task, tasks_of


@pytest.mark.parametrize("known", cards(), ids=lambda known: known.name)
def test_every_model_is_for_something(known):
    assert tasks_of(known)
    assert {*known.tasks} <= {known.name for known in TASKS}


@pytest.mark.parametrize(
    ("asked", "name", "model"),
    [
        ("karaoke", "karaoke", "bs.karaoke"),
        ("lead vocals", "karaoke", "uvr_mdx.kara_2"),
        ("backing", "karaoke", "vr.backing"),
        ("De-Reverb", "dereverb", "mel.dereverb"),
        ("reverb", "dereverb", "uvr_mdx.reverb_hq"),
        ("de-noise", "denoise", "vr.denoise"),
        ("drum kit", "drum-kit", "mdx23c.drum_kit"),
        ("kick", "drum-kit", "drumsep"),
        ("speech", "speech", "bandit.v2"),
        ("podcast", "speech", "cdx23.b"),
        ("mp3", "restore", "apollo.mp3"),
        ("audience", "crowd", "mel.crowd"),
        ("male", "duet", "bs.male_female"),
        ("bleed", "debleed", "mel.bleed"),
        ("echo", "de-echo", "vr.deecho_dereverb"),
        ("breaths", "breath", "mel.breath"),
        ("instrumental", "vocals", "bs.resurrection_inst"),
    ],
)
def test_what_a_user_types_means_a_task_that_has_models(asked, name, model):
    assert task(asked).name == name
    assert card(model) in for_task(task(asked), parts=True)


def test_no_word_means_two_tasks():
    words = [word for known in TASKS for word in (known.name, *known.words)]
    assert len(words) == len(set(words))


def test_an_unknown_task_is_answered_with_the_nearest_or_all():
    with pytest.raises(UsageError, match="did you mean dereverb"):
        task("dereverbb")
    with pytest.raises(UsageError, match="there are stems, karaoke"):
        task("zzz")


def test_what_most_people_want_comes_first():
    found = [known.common for known in search("vocals")]
    assert found == sorted(found, reverse=True)
    assert True in found


def test_words_are_looked_for_in_names_files_and_descriptions():
    assert card("bs.viperx_1297") in search("ep_317")
    assert card("mel.gabox_inst_7n") in search("Gabox instv7n")
    assert {known.licence for known in search("gpl mit")} <= {"MIT"}
    assert search("nothing of the kind") == ()


def test_each_source_of_each_model_can_be_asked_for_by_its_name():
    for source in all_sources():
        assert source in sources_called(source)
    assert sources_called("Lead") == {"lead_vocals"}
    assert sources_called("sfx") == sources_called("effects")


def test_finding_needs_no_torch():
    code = (
        "import sys; from unbraid.zoo.tasks import search; search('karaoke'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
