"""A song in memory: its mixture and true stems, and estimates brought to the same names and length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch

from unbraid.data.groups import FAMILIES, family, four_sources, regroup
from unbraid.data.stems import in_order, left_out
from unbraid.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from unbraid.data.track import Track
    from unbraid.estimates import Estimates

    # None: as the data set has them; "four": vocals, drums, bass, other; or sums by a new name.
    Sources = Literal["four"] | Mapping[str, Sequence[str]] | None

# Other names for everything but the vocals.
_ACCOMPANIMENT = ("no_vocals", "non_vocals", "instrumental")
# Of an estimate's length: lossy files and rounding make a few samples, other songs make more.
_MOST_APART = 0.01


@dataclass(frozen=True, slots=True)
class Part:
    """Of every song, the part that is scored.

    Args:
        start_seconds: Where it begins.
        duration_seconds: How long it is; None: to the end.
    """

    start_seconds: float = 0.0
    duration_seconds: float | None = None


@dataclass(frozen=True)  # without slots: what was read is kept
class Song:
    """A track in memory, in float32.

    Args:
        track: Where it comes from.
        part: How much of it is read.
    """

    track: Track
    part: Part

    @cached_property
    def mixture(self) -> Tensor:
        """As it is heard, `(channels, time)`."""
        read = self.track.mixture(
            start_seconds=self.part.start_seconds, duration_seconds=self.part.duration_seconds
        )
        return read.samples

    @cached_property
    def true(self) -> Estimates:
        """The true sources."""
        return self.track.references(
            start_seconds=self.part.start_seconds, duration_seconds=self.part.duration_seconds
        )

    def reference(self, stem: str) -> Tensor | None:
        """The true stem of this name, `(channels, time)`; None where the song does not tell it."""
        if stem in self.true:
            return self.true[stem].samples
        without = left_out(stem)
        others = [audio.samples for source, audio in self.true.items() if source != without]
        known = without is not None and without in self.true and others
        return sum(others[1:], others[0]) if known else None

    def references(self, stems: Iterable[str]) -> dict[str, Tensor]:
        """Those true stems that there are."""
        found = {stem: self.reference(stem) for stem in stems}
        return {stem: samples for stem, samples in found.items() if samples is not None}

    def fitted(self, stem: str, samples: Tensor, sample_rate: int) -> tuple[Tensor, str]:
        """An estimate with as many samples as the song, and what was done for it, if anything.

        Raises:
            AudioError: If its rate or channels are others, or its length is more than a hundredth off.
        """
        channels, length = self.mixture.shape
        name = f"{self.track.key}: the estimate of {stem}"
        if sample_rate != self.track.sample_rate:
            raise AudioError(
                f"{name} is at {sample_rate} Hz, the song at {self.track.sample_rate} Hz; estimates are not "
                "resampled, since that changes scores: write them at the song's rate"
            )
        if samples.shape[0] != channels:
            raise AudioError(
                f"{name} has {samples.shape[0]} channels, the song {channels}; write it with the song's"
            )
        missing = length - samples.shape[1]
        if abs(missing) > _MOST_APART * length:
            raise AudioError(
                f"{name} has {samples.shape[1]} samples, the song {length}; they cannot be of one recording, "
                "or one of them was cut"
            )
        if not missing:
            return samples, ""
        done = f"{missing} samples short, padded with silence" if missing > 0 else f"{-missing} too long, cut"
        return torch.nn.functional.pad(samples, (0, missing)), f"{stem}: {done}"


def grouped_tracks(tracks: Iterable[Track], sources: Sources) -> list[Track]:
    """Songs with the sources that were asked for; nothing is read.

    Raises:
        UsageError: If a group asks for what no song has.
    """
    if sources is None:
        return list(tracks)
    return four_sources(tracks) if sources == "four" else regroup(tracks, sources)


def grouped_stems(stems: Mapping[str, Tensor], sources: Sources) -> dict[str, Tensor]:
    """A song's estimates as the groups want them.

    What a column lacks is taken to be part of its `other`, if that is in the group: a model of four sources
    has the guitars there. Otherwise it has no such stem, unless it has one of the group's own name.
    """
    if sources is None:
        return dict(stems)
    sums = {stem: samples for stem, samples in stems.items() if left_out(stem)}
    single = [stem for stem in stems if stem not in sums]
    if sources == "four":
        groups = {name: [stem for stem in single if family(stem) == name] for name in FAMILIES}
        return {**_summed(stems, groups), **sums}
    groups = {}
    for name, members in sources.items():
        have = [member for member in members if member in stems]
        whole = len(have) == len(members) or ("other" in have and "other" in members)
        groups[name] = have if whole else [stem for stem in (name,) if stem in stems]
    return _summed(stems, groups)


def _summed(stems: Mapping[str, Tensor], groups: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    return {
        name: sum((stems[one] for one in members[1:]), stems[members[0]])
        for name, members in groups.items()
        if members
    }


def named_alike(stems: Mapping[str, Tensor], references: Sequence[str]) -> dict[str, Tensor]:
    """Estimates under the names that true stems have, in the order of music.

    Everything but the vocals is called accompaniment, however it was called. Of two stems, `other` is
    everything but the first, unless the song has the same two.
    """
    renamed = {"accompaniment" if stem in _ACCOMPANIMENT else stem: held for stem, held in stems.items()}
    first = next((stem for stem in renamed if stem != "other"), "")
    if len(renamed) == 2 and "other" in renamed and set(references) != set(renamed):
        rest = "accompaniment" if first == "vocals" else f"no_{first}"
        renamed = {first: renamed[first], rest: renamed["other"]}
    return {stem: renamed[stem] for stem in in_order(renamed)}


def scorable(stems: Mapping[str, Tensor], references: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Which estimates have a true stem that means the same, and a sentence for each that has not."""
    kept, notes = [], []
    for stem in stems:
        if stem not in references:
            notes.append(f"{stem}: no true stem, not scored")
        elif stem == "accompaniment" and "lead_vocals" in stems:
            notes.append("accompaniment: beside lead_vocals it holds other voices, not scored")
        else:
            kept.append(stem)
            if not references[stem].any():
                notes.append(f"{stem}: silent in truth, left out")
    strangers = [stem for stem in stems if stem not in references]
    if strangers and "other" in kept:
        notes.append(f"other: it may lack what went to {', '.join(strangers)}; --sources can add them up")
    return kept, notes
