"""What models are for, in a musician's words: told by sources, or stated on cards. Needs no torch."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid.errors import UsageError, did_you_mean
from unbraid.zoo import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbraid.zoo.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Task:
    """Something that people want done to a recording.

    Args:
        name: As a user types it.
        title: In a table's heading.
        sources: A model that makes any of these is for it.
        words: Other words for it.
    """

    name: str
    title: str
    sources: frozenset[str]
    words: frozenset[str] = frozenset()


def _task(name: str, title: str, sources: str, words: str = "") -> Task:
    return Task(name, title, frozenset(sources.split()), frozenset(filter(None, words.split(", "))))


# In the order in which lists show them; a model that is for several stands under the first.
TASKS: tuple[Task, ...] = (
    _task(
        "stems",
        "Drums, bass, vocals and the rest",
        "drums bass no_other",
        "4 stems, four stems, 4-stem, 6 stems, six stems, 6-stem, band, multistem, rhythm",
    ),
    _task(
        "karaoke",
        "Lead voice and backing vocals",
        "lead_vocals backing_vocals no_backing_vocals",
        "lead, lead vocals, lead voice, backing, backing vocals, back vocals, choir, sing along",
    ),
    _task(
        "vocals",
        "Vocals and accompaniment",
        "vocals accompaniment non_vocals",
        "voice, vocal, singing, acapella, a cappella, instrumental, accompaniment, backing track, minus one",
    ),
    _task(
        "instruments",
        "Single instruments",
        "guitar piano woodwinds no_woodwinds no_drum_bass",
        "guitar, guitars, piano, keys, woodwinds, wind, winds, saxophone, instrument",
    ),
    _task(
        "drum-kit",
        "Parts of a drum kit",
        "kick snare toms hi_hat ride crash cymbals",
        "drumsep, drums apart, drum kit, drumkit, drum pieces, kick, snare, hi-hat, hihat, toms, cymbals",
    ),
    _task(
        "speech",
        "Speech, music and effects",
        "speech effects sfx",
        "film, movie, cinema, cinematic, dialogue, dialog, podcast, effects, sfx, voice over, talk",
    ),
    _task(
        "duet",
        "Voices apart",
        "male female",
        "male, female, man and woman, men and women, two voices, chorus, singers",
    ),
    _task(
        "dereverb",
        "Without reverberation",
        "no_reverb reverb",
        "reverb, reverberation, room, dry, unreverb",
    ),
    _task("de-echo", "Without echo", "no_echo echo", "echo, delay"),
    _task(
        "denoise", "Without noise", "no_noise noise", "noise, hiss, hum, clean, cleaning, vinyl, enhancement"
    ),
    _task(
        "breath", "Without breaths", "aspiration no_aspiration", "breathing, breaths, aspiration, debreath"
    ),
    _task("crowd", "Without the audience", "crowd no_crowd", "audience, applause, live, concert, cheering"),
    _task("debleed", "Without what bled in", "bleed", "bleed, bleeding, leakage, crosstalk, residue"),
    _task(
        "restore", "Made whole again", "restored", "restoration, restored, mp3, lossy, codec, upscale, repair"
    ),
    _task(
        "centre",
        "By place or by sound",
        "centre sides harmonic percussive",
        "center, sides, middle, mid side, phantom centre, harmonic, percussive, hits, tones",
    ),
)
_BY_NAME = {task.name: task for task in TASKS}
# What else people call a source.
_SOURCES = {
    "vocal": "vocals",
    "voice": "vocals",
    "voices": "vocals",
    "acapella": "vocals",
    "instrumental": "accompaniment",
    "instrumentals": "accompaniment",
    "inst": "accompaniment",
    "karaoke": "accompaniment",
    "drum": "drums",
    "lead": "lead_vocals",
    "backing": "backing_vocals",
    "hihat": "hi_hat",
    "hh": "hi_hat",
    "dry": "no_reverb",
    "dialogue": "speech",
    "dialog": "speech",
    "centre": "centre",
    "center": "centre",
    "keys": "piano",
    "breath": "aspiration",
    "audience": "crowd",
}
# Names of one and the same.
_ALIKE: tuple[frozenset[str], ...] = (frozenset(("effects", "sfx")),)


def task(name: str) -> Task:
    """The task of this name, or that one of these words means.

    Raises:
        UsageError: If there is none; the nearest are offered.

    >>> task("De-Reverb").name
    'dereverb'
    """
    found = _known(name)
    if found is None:
        words = [*_BY_NAME, *(word for known in TASKS for word in known.words)]
        near = did_you_mean(_plain(name), words)
        others = f"; there are {', '.join(_BY_NAME)}"
        raise UsageError(f"no task is called {name!r}{near or others}")
    return found


def tasks_of(card: Checkpoint) -> tuple[Task, ...]:
    """What a model is for: first what its card says, then what its sources tell.

    >>> [found.name for found in tasks_of(catalog.card("htdemucs"))]
    ['stems', 'vocals']
    """
    found = [known for known in TASKS if known.name in card.tasks or known.sources & {*card.sources}]
    return tuple(sorted(found, key=lambda known: known.name not in card.tasks))


def for_task(found: Task, *, parts: bool = False) -> tuple[Checkpoint, ...]:
    """The models that are for a task, those that most people want first.

    Args:
        found: The task.
        parts: Also those that were made to be heard together with others.
    """
    cards = [card for card in catalog.cards() if found in tasks_of(card) and (parts or not card.member)]
    return tuple(sorted(cards, key=lambda card: not card.common))


def search(text: str, *, parts: bool = False) -> tuple[Checkpoint, ...]:
    """Models by what a user types: a task, or words of their name, author, sources or description.

    >>> search("gabox karaoke")[0].name
    'mel.karaoke_gabox'
    """
    found = _known(text)
    if found is not None:
        return for_task(found, parts=parts)
    words = [word for word in re.split(r"[\s,]+", text.lower()) if word]
    cards = [card for card in catalog.cards() if (parts or not card.member) and _tells(card, words)]
    return tuple(sorted(cards, key=lambda card: not card.common))


def sources_called(name: str) -> frozenset[str]:
    """The sources that a user means by a name.

    >>> sorted(sources_called("Instrumental"))
    ['accompaniment']
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    meant = _SOURCES.get(plain, plain)
    return next((alike for alike in _ALIKE if meant in alike), frozenset((meant,)))


@functools.cache
def all_sources() -> tuple[str, ...]:
    """All that any model makes, each once."""
    return tuple(dict.fromkeys(source for card in catalog.cards() for source in card.sources))


def _known(name: str) -> Task | None:
    plain = _plain(name)
    for known in TASKS:
        if plain in {_plain(word) for word in (known.name, known.title, *known.words)}:
            return known
    return None


def _plain(text: str) -> str:
    """A word as it is compared: without case, hyphens and blanks."""
    return re.sub(r"[\s_-]+", "", text.lower())


def _tells(card: Checkpoint, words: Iterable[str]) -> bool:
    """Whether all words stand somewhere in what a card says for people, or mean its sources or its task."""
    said = " ".join(
        (card.name, *card.aliases, card.architecture, card.description, *card.sources, card.licence)
    ).lower()
    plain = _plain(said)
    return all(word in said or _plain(word) in plain or _means(word, card) for word in words)


def _means(word: str, card: Checkpoint) -> bool:
    """Whether a word is the name of a model's task, or another name of one of its sources, or of its task."""
    sources, found = sources_called(word), _known(word)
    is_task = found is not None and (found.name == word or not sources & {*all_sources()})
    if found is not None and is_task and word not in all_sources():
        return found in tasks_of(card)
    return bool(sources & {*card.sources})
