from __future__ import annotations

import pytest
import torch

from datasets import LOSSLESS, moisesdb, musdb18hq
from unbraid.data.groups import FAMILIES, four_sources, regroup
from unbraid.data.layouts import tracks
from unbraid.data.track import Recording, Track
from unbraid.errors import UsageError


def test_a_group_is_the_sum_of_its_members_and_the_mixture_stays(tmp_path):
    moisesdb(tmp_path)
    songs = tracks(tmp_path)
    groups = {"voices": ["vocals"], "band": ["drums", "other_keys"]}
    for before, after in zip(songs, regroup(songs, groups), strict=True):
        old, new = before.references(), after.references()
        assert new.sources == ("voices", "band")
        assert torch.equal(new["voices"].samples, old["vocals"].samples)
        assert torch.equal(new["band"].samples, old["drums"].samples + old["other_keys"].samples)
        assert torch.equal(after.mixture().samples, before.mixture().samples)


def test_what_no_group_takes_stays_in_the_mixture(tmp_path):
    moisesdb(tmp_path)
    (song, *_) = tracks(tmp_path)
    (alone,) = regroup([song], {"drums": ["drums"]})
    assert torch.equal(alone.mixture().samples, song.mixture().samples)
    assert (song.is_summed, alone.is_summed) == (True, False)


def test_the_four_sources_add_up_to_what_the_song_had(layout):
    songs = tracks(layout[1])
    for before, after in zip(songs, four_sources(songs), strict=True):
        assert after.references().sources == ("vocals", "drums", "bass", "other")
        assert torch.equal(after.references().samples.sum(0), before.references().samples.sum(0))


FAMILY = {
    "musdb18hq": {"vocals": "vocals", "drums": "drums", "bass": "bass", "other": "other"},
    "moisesdb": {"vocals": "vocals", "drums": "drums", "other_keys": "other"},
    "slakh2100": {"bass": "bass", "guitar": "other", "strings_continued": "other"},
    "medleydb": {"male_singer": "vocals", "drum_set": "drums", "piano_and_fx_processed_sound": "other"},
}


@pytest.mark.parametrize("name", FAMILY)
def test_each_source_goes_to_its_family_and_a_family_without_any_is_silent(name, tmp_path):
    LOSSLESS[name](tmp_path)
    (song, *_) = tracks(tmp_path)
    (found,) = four_sources([song])
    for family, recordings in found.sources.items():
        members = [source for source, wanted in FAMILY[name].items() if wanted == family]
        assert set(recordings) == {one for source in members for one in song.sources[source]}


def test_no_source_is_in_two_families():
    members = [member for family in FAMILIES.values() for member in family]
    assert len(members) == len(set(members))


def test_a_song_without_the_members_is_silent_there_while_others_are_not(tmp_path):
    musdb18hq(tmp_path)
    song = tracks(tmp_path)[0]
    drums_only = Track("b", {"drums": song.sources["drums"]})
    _, other = regroup([song, drums_only], {"vocals": ["vocals"], "beat": ["drums"]})
    assert not other.references()["vocals"].samples.any()
    assert other.references()["beat"].samples.any()


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"voice": ["vocal"]}, "'voice' asks for vocal; the songs have vocals; did you mean vocals"),
        ({"voice": []}, "'voice' asks for nothing; the songs have vocals"),
    ],
)
def test_a_group_that_means_nothing_is_refused(groups, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        regroup([Track("song", {"vocals": (Recording(tmp_path / "vocals.wav"),)})], groups)
