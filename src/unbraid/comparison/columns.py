"""What is compared: one recording, its true stems if there are any, and a column of stems for each model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.data.stems import MIXTURES, in_order, left_out, stem_files
from unbraid.errors import UsageError
from unbraid.io.naming import track_name
from unbraid.io.source import source_of
from unbraid.plot.sound import measured, mixed, require_alike

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbraid.io.source import Source


@dataclass(frozen=True, slots=True)
class Part:
    """Of every file, the part that is looked at.

    Args:
        start_seconds: Where it begins.
        duration_seconds: How long it is; None: to the end.
    """

    start_seconds: float = 0.0
    duration_seconds: float | None = None

    def of(self, path: Path, name: str) -> Source:
        """This part of a file, under a name that errors and pictures can show.

        Raises:
            AudioError: If the file cannot be read.
            UsageError: If it ends before.
        """
        source = source_of(path, start_seconds=self.start_seconds, duration_seconds=self.duration_seconds)
        return replace(measured(source), name=name)


def song_name(path: Path) -> str:
    """What a song is called: its file's name, or its folder's where the file is only called mixture.

    >>> song_name(Path("album/Lithium.flac")), song_name(Path("/songs/lithium/mixture.wav"))
    ('Lithium', 'lithium')
    """
    name = track_name(path)
    return path.resolve().parent.name or name if name.lower() in MIXTURES else name


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One recording and what several models, or people, took from it.

    Args:
        mixture: The recording; its name is the song's.
        columns: Stems by the column's name, then by their own.
        references: True stems by name; empty where nobody has them.
        notes: A sentence for some of the columns, by name.

    Raises:
        UsageError: If there is nothing to compare.
        ShapeError: If a stem has another rate, length or number of channels than the recording.
    """

    mixture: Source
    columns: Mapping[str, Mapping[str, Source]]
    references: Mapping[str, Source]
    notes: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.columns and not self.references:
            raise UsageError("there is nothing to compare; name models with -n, or folders with --stems")
        for column in (self.references, *self.columns.values()):
            require_alike([self.mixture, *column.values()])

    @property
    def shown(self) -> dict[str, Mapping[str, Source]]:
        """All columns, the true stems first."""
        return {**({"true": self.references} if self.references else {}), **self.columns}

    def completed(self) -> Comparison:
        """The same, with the stems that follow from others.

        Where one column has the accompaniment (or `no_drums`) and another has all stems on their own, the
        other gets it, too: the sum of all its stems but the vocals (or the drums).
        """
        wanted = [stem for column in self.shown.values() for stem in column if left_out(stem)]
        return replace(
            self,
            columns={name: _with_sums(column, wanted) for name, column in self.columns.items()},
            references=_with_sums(self.references, wanted),
        )


def _with_sums(column: Mapping[str, Source], wanted: Iterable[str]) -> dict[str, Source]:
    single = {stem: source for stem, source in column.items() if not left_out(stem)}
    added = dict(column)
    for stem in wanted:
        without = left_out(stem)
        rest = [source for name, source in single.items() if name != without]
        twin = next((source for name, source in column.items() if left_out(name) == without), None)
        if stem not in added and without in single and (twin or rest):
            added[stem] = twin or mixed(rest, name=stem)
    return {stem: added[stem] for stem in in_order(added)}


def stems_in(folder: Path, part: Part) -> tuple[str, dict[str, Source]]:
    """The stems that lie in a folder, and what to call them together.

    See `data.stems.stem_files`; a common gain is undone here.

    Args:
        folder: Where they are.
        part: Of each, what is looked at.

    Returns:
        The model's or the folder's name, and the stems by name.

    Raises:
        UsageError: If there are none, or two of one name.
        AudioError: If one cannot be read.
    """
    found = stem_files(folder)
    stems = {stem: part.of(found.paths[stem], f"{stem} in {folder}") for stem in in_order(found.paths)}
    if found.gain_db:
        stems = {stem: mixed([source], [10 ** (-found.gain_db / 20)]) for stem, source in stems.items()}
    return found.name, stems


def named_folders(folders: Iterable[str], part: Part) -> dict[str, dict[str, Source]]:
    """A column for each folder of stems.

    Args:
        folders: As typed: `FOLDER`, or `NAME=FOLDER` to choose what it is called.
        part: Of each stem, what is looked at.

    Returns:
        Stems by the column's name, then by their own. Folders of one name are told apart by the one above.

    Raises:
        UsageError: If a folder holds no stems, or two columns would have one name.
        AudioError: If a stem cannot be read.
    """
    columns: dict[str, dict[str, Source]] = {}
    for typed in folders:
        name, equals, rest = typed.partition("=")
        chosen = bool(equals) and not Path(typed).exists()
        folder = Path(rest if chosen else typed)
        found, stems = stems_in(folder, part)
        label = name if chosen else found
        if label in columns and not chosen:
            label = f"{folder.resolve().parent.name}/{label}"
        add_column(columns, label, stems)
    return columns


def add_column(columns: dict[str, dict[str, Source]], name: str, stems: dict[str, Source]) -> None:
    """One more column.

    Raises:
        UsageError: If there is one of this name.
    """
    if name in columns or name == "true":
        raise UsageError(f"two columns would be called {name!r}; name one of them: --stems NAME=FOLDER")
    columns[name] = stems
