"""Other sources from those a data set has: sums of them, under new names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unbraid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unbraid.data.track import Track

# What the field's four sources are called elsewhere; whatever is not here is "other". Percussion beside the
# drum kit is "other", as MoisesDB's authors have it (`mix_4_stems` of the package moisesdb).
# Source: the taxonomies of MoisesDB (arXiv 2307.15913), MedleyDB 2.0 and Slakh2100.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "vocals": (
        "vocals", "lead_vocals", "backing_vocals", "background_vocals", "vocalists", "beatboxing",
        "male_singer", "female_singer", "male_speaker", "female_speaker", "male_rapper", "female_rapper",
    ),
    "drums": (
        "drums", "drum_set", "drum_machine", "kick_drum", "snare_drum", "bass_drum", "toms", "high_hat",
        "cymbal",
    ),
    "bass": ("bass", "electric_bass", "double_bass", "bass_guitar", "synth_bass"),
    "other": (),
}  # fmt: skip


def regroup(tracks: Iterable[Track], groups: Mapping[str, Sequence[str]]) -> list[Track]:
    """The same songs with other sources, each the sum of some that they have; nothing is read.

    A song that has none of a group's members has silence there: a song without vocals. The mixture stays
    what it was, even where groups leave some of it out.

    Args:
        tracks: Songs of one data set.
        groups: From a new name to the sources that are added up under it.

    Returns:
        One track for each, with the groups as its sources, in their order.

    Raises:
        UsageError: If a group is empty, or names a source that no song has.

    >>> from unbraid.data.track import Track
    >>> songs = [Track("a", {"lead": (), "choir": ()}), Track("b", {"drums": ()})]
    >>> [tuple(song.sources) for song in regroup(songs, {"vocals": ["lead", "choir"], "beat": ["drums"]})]
    [('vocals', 'beat'), ('vocals', 'beat')]
    """
    tracks = list(tracks)
    known = sorted({source for track in tracks for source in track.sources})
    for name, members in groups.items():
        missing = [member for member in members if member not in known]
        if missing or not members:
            near = did_you_mean(missing[0], known) if missing else ""
            raise UsageError(
                f"the group {name!r} asks for {', '.join(missing) or 'nothing'}; "
                f"the songs have {', '.join(known) or 'no sources'}{near}"
            )
    return [_regrouped(track, groups) for track in tracks]


def four_sources(tracks: Iterable[Track]) -> list[Track]:
    """The same songs with the field's four sources: vocals, drums, bass and other.

    What each is made of stands in `FAMILIES`; a source that is in none of them goes to `other`, so that the
    four add up to what the song's sources add up to. A song without one of the four has silence there.

    Args:
        tracks: Songs of any data set.

    Returns:
        One track for each.
    """
    found = []
    for track in tracks:
        families = {source: family(source) for source in track.sources}
        groups = {name: [one for one, family in families.items() if family == name] for name in FAMILIES}
        found.append(_regrouped(track, groups))
    return found


def family(source: str) -> str:
    """Which of the field's four sources one belongs to.

    >>> family("lead_vocals"), family("guitar")
    ('vocals', 'other')
    """
    return next((family for family, members in FAMILIES.items() if source in members), "other")


def _regrouped(track: Track, groups: Mapping[str, Sequence[str]]) -> Track:
    sources = {
        name: tuple(one for member in members for one in track.sources.get(member, ()))
        for name, members in groups.items()
    }
    return replace(track, sources=sources, recorded=track.recorded or track.recordings)
