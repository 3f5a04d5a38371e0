from __future__ import annotations

import pytest

from unbraid.zoo.catalog import card
from unbraid.zoo.chains import list_presets, preset


def test_the_table_says_of_each_what_it_gives_and_needs(run):
    said = run("presets").out
    for name in list_presets():
        known = preset(name)
        (row,) = (line for line in said.splitlines() if line.startswith(f"{name} "))
        for words in (", ".join(known.sources), ", ".join(known.models()), "no"):
            assert words in row
        for model in known.models():
            assert card(model).licence in row
        (about,) = (line for line in said.splitlines() if line.startswith(f"{name}: "))
        assert known.about.description in about
        assert all(signal in about for signal in known.between)


def test_a_named_preset_is_shown_step_by_step(run):
    said = run("presets", "karaoke").out
    for words in (
        "htdemucs_ft of mixture: vocals",
        "mixture without vocals: accompaniment",
        "uvr_mdx.kara_2 of vocals: lead_vocals, accompaniment as backing_vocals",
        "the sum of accompaniment and backing_vocals: karaoke",
        "uvr_mdx.kara_2, 52.8 MB, licence: not stated",
    ):
        assert words in said
    assert (
        "htdemucs_ft.vocals and uvr_mdx.voc_ft of mixture, their mean: vocals"
        in run("presets", "acapella").out
    )


def test_json_holds_all_of_it(run):
    lines = {line["name"]: line for line in run("presets", "--json").lines}
    assert tuple(lines) == list_presets()
    line = lines["drum_kit"]
    assert line["sources"] == ["kick", "snare", "toms", "cymbals", "drumless"]
    assert line["between"] == ["drums"]
    assert line["models"] == ["htdemucs_ft.drums", "drumsep"]
    assert line["bytes"] == card("htdemucs_ft.drums").bytes + card("drumsep").bytes
    assert line["licences"] == {"htdemucs_ft.drums": "MIT", "drumsep": "MIT"}
    assert line["steps"][1]["separate"] == "drums"
    assert not line["on_disk"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["presets", "karoake"], 4, "did you mean karaoke"),
        (["--preset", "karoake", "song.wav"], 4, "did you mean karaoke"),
        (["--preset", "htdemucs", "song.wav"], 4, "no preset is called 'htdemucs'"),
        (["--preset", "mine.toml", "song.wav"], 4, "give its file as the model"),
        (["--preset", "karaoke", "-n", "htdemucs", "song.wav"], 2, "keep one of them"),
        (["--preset", "karaoke", "--stems", "lead", "song.wav"], 2, "on the way vocals"),
        (
            ["--preset", "podcast", "--stems", "speech,music", "--sum", "exact", "song.wav"],
            2,
            "do not add up",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_separated(run, song, arguments, code, words):
    song()
    ended = run(*arguments)
    assert (ended.code, ended.calls) == (code, [])
    assert words in ended.err
