"""Names: which files are meant, what a track is called, and what its stems are."""

from __future__ import annotations

import glob
import itertools
import os
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What a folder is searched for.
_SOUND = (
    "wav wave w64 rf64 bwf aif aiff aifc caf au flac mp3 mp2 ogg oga opus m4a m4b aac wma ape wv tta ac3 dts"
)
_FILM = "mka mp4 m4v mov mkv webm avi mpg mpeg ts flv wmv 3gp"
SUFFIXES = frozenset(f".{name}" for name in f"{_SOUND} {_FILM}".split())

_PLACEHOLDERS = ("model", "track", "stem", "ext")
_SIDECAR = "unbraid"  # takes the place of the stem in the name of the JSON file beside the stems
_NAME_BYTES = 255  # of one file or folder, on every common file system
_CONTROLS = map(chr, (*range(32), *range(127, 160)))
_FORBIDDEN = str.maketrans(dict.fromkeys((*'<>:"/\\|?*', *_CONTROLS), "_"))
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))]
)  # devices on Windows, with any suffix


@dataclass(frozen=True, slots=True)
class Input:
    """A file to separate.

    Args:
        path: Of the file, as it was given or found.
        parent: Folder it was found in, relative to the folder that was given, with "/"; "" for a file given.
    """

    path: Path
    parent: str = ""


def inputs(arguments: Sequence[str], *, stems: Path | None = None) -> list[Input]:
    """The files that arguments mean: files, folders with all in them, and patterns.

    Args:
        arguments: Paths as typed. A pattern (`*.flac`, `**/*.mp3`) is expanded here too, as Windows' shell
            leaves that to programs. In folders, hidden files and other kinds of files are passed over.
        stems: The output folder. What lies in it is passed over, so that stems are not separated again,
            unless it is a file that is given, or the folder itself is searched.

    Returns:
        Each file once, in the order of the arguments and sorted within each. A file that does not exist is
        among them, so that it fails alone.

    Raises:
        UsageError: If a folder holds no audio, or a pattern fits nothing.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        for item in _meant(argument, stems):
            found.setdefault(os.path.realpath(item.path), item)
    return list(found.values())


def _meant(argument: str, stems: Path | None) -> list[Input]:
    path = Path(argument)
    # os.path answers where pathlib would raise: for a name too long, or in a folder that may not be entered.
    if os.path.isdir(argument):  # noqa: PTH112
        found = _outside(stems, path, _in_folder(path))
        if not found:
            beside = f" beside the stems in {stems}" if stems and _lies_in(stems, path) else ""
            raise UsageError(f"{path} holds no audio (wav, flac, mp3, m4a, ...){beside}, nor do its folders")
        return found
    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [Input(path)]
    literal = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - an absolute pattern works here
    files = [Input(Path(match)) for match in matches if not Path(match).is_dir()]
    found = _outside(stems, Path(*literal), files)
    if not found:
        raise UsageError(f"no file fits {argument}; check the folder and the pattern")
    return found


def _in_folder(folder: Path) -> list[Input]:
    found = []
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        parent = Path(at).relative_to(folder).as_posix().removeprefix(".")
        audio = [name for name in files if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES]
        found += [Input(Path(at, name), parent) for name in sorted(audio)]
    return found


def _outside(stems: Path | None, searched: Path, found: list[Input]) -> list[Input]:
    """What was found outside the output folder; all of it, if that was the very place that was searched."""
    if stems is None or _lies_in(searched, stems):
        return found
    return [item for item in found if not _lies_in(item.path, stems)]


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder, or below it, by whatever names."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def track_name(path: str | Path) -> str:
    """What a track is called: its file's name without the suffix.

    >>> track_name("music/01. Intro.flac")
    '01. Intro'
    >>> track_name("music/No. 5")
    'No. 5'
    """
    path = Path(path)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


@dataclass(frozen=True, slots=True)
class Places:
    """Where the stems of one track go.

    Args:
        stems: Path of each, by name.
        sidecar: The JSON file about them.
    """

    stems: Mapping[str, Path]
    sidecar: Path

    @property
    def are_taken(self) -> bool:
        """Whether all stems are there already."""
        return all(path.exists() for path in self.stems.values())


def places(
    track: Input, template: str, *, model: str, stems: Iterable[str], out: Path, suffix: str
) -> Places:
    """Where the stems of a track go.

    Args:
        track: The file they are made from.
        template: Names of the stems; see `expand`.
        model: Name of the model.
        stems: Names of the stems.
        out: Folder that the names start from; the track's parent stands between it and them.
        suffix: Of the stems' files.

    Raises:
        UsageError: If two stems would get the same name, or the template is faulty.
    """

    def place(stem: str, ext: str) -> Path:
        name = expand(template, model=model, track=track_name(track.path), stem=stem, ext=ext)
        return out / track.parent / name

    paths = {stem: place(stem, suffix) for stem in stems}
    if len(set(paths.values())) < len(paths):
        raise UsageError(f"the template {template!r} gives every stem the same name; put {{stem}} in it")
    return Places(paths, place(_SIDECAR, "json"))


def expand(template: str, *, model: str, track: str, stem: str, ext: str) -> str:
    """The name of a stem from a template.

    Args:
        template: Text with {model}, {track}, {stem} and {ext}; "/" begins a folder.
        model: Name of the model.
        track: Name of the track; shortened where a name would get too long for a file system.
        stem: Name of the stem.
        ext: Suffix, with or without its dot.

    Returns:
        A path relative to the output folder, which it never leaves, and good on every system: each value
        loses separators, control characters and what Windows forbids, and keeps every letter.

    Raises:
        UsageError: If the template holds an unknown placeholder, leaves the folder, or is too long.

    >>> expand("{track}/{stem}.{ext}", model="htdemucs", track="AC/DC: Live", stem="vocals", ext="wav")
    'AC_DC_ Live/vocals.wav'
    """
    fields = _parsed(template)
    values = {"model": model, "track": track, "stem": stem, "ext": ext.removeprefix(".")}
    values = {name: _safe(value) for name, value in values.items()}
    parts = _parts(fields, values)
    while (excess := max(map(_size, parts)) - _NAME_BYTES) > 0:
        shorter = _shortened(values["track"], excess)
        if shorter == values["track"] or not shorter:
            raise UsageError(
                f"the template {template!r} makes a name longer than {_NAME_BYTES} bytes; use a shorter one"
            )
        values["track"] = shorter
        parts = _parts(fields, values)
    return "/".join(parts)


def _parsed(template: str) -> list[tuple[str, str | None]]:
    """The template as pairs of literal text and placeholder."""
    try:
        fields = list(string.Formatter().parse(template.replace("\\", "/")))
    except ValueError as error:
        raise UsageError(
            f"the template {template!r} is faulty: {error}; write it as {{track}}/{{stem}}.{{ext}}"
        ) from None
    for _, name, form, conversion in fields:
        if name is not None and (name not in _PLACEHOLDERS or form or conversion):
            known = ", ".join(f"{{{known}}}" for known in _PLACEHOLDERS)
            hint = did_you_mean(name, _PLACEHOLDERS)
            raise UsageError(f"the template {template!r} holds {{{name}}}; there are {known}{hint}")
    folders = template.replace("\\", "/").split("/")
    if not folders[0] or not folders[-1] or folders[0].endswith(":") or ".." in folders:
        raise UsageError(
            f"the template {template!r} does not name a file inside the output folder; "
            "write it as {track}/{stem}.{ext}"
        )
    return [(text, name) for text, name, _, _ in fields]


def _parts(fields: Sequence[tuple[str, str | None]], values: dict[str, str]) -> list[str]:
    """Folders and file name of the filled template, each good on every system."""
    filled = "".join(text + (values[name] if name else "") for text, name in fields)
    return [_tidy(part) for part in filled.split("/") if part not in ("", ".")]


def _safe(value: str) -> str:
    """A value without separators and control characters, and not one of nothing but dots."""
    return value.translate(_FORBIDDEN) if value.strip(". ") else "_"


def _tidy(part: str) -> str:
    """A name that Windows takes too: no control character, no trailing dot or space, no device."""
    part = part.translate(_FORBIDDEN).rstrip(". ") or "_"
    base, dot, rest = part.partition(".")
    return f"{base}_{dot}{rest}" if base.rstrip().upper() in _RESERVED else part


def _size(name: str) -> int:
    return len(os.fsencode(name))


def _shortened(name: str, excess: int) -> str:
    """The name with at least `excess` bytes less, cut between letters."""
    keep = max(0, _size(name) - excess)
    while _size(name) > keep:
        name = name[:-1]
    return name.rstrip()


def check_collisions(outputs: Iterable[tuple[Path, Path]]) -> None:
    """Refuse a plan in which one stem would replace another, or a recording.

    Names that differ only in case or in Unicode's normal form are one, as on Windows' and Apple's disks.

    Args:
        outputs: Pairs of a stem's path and the file it comes from.

    Raises:
        UsageError: If two stems have one path, or a stem has the path of a file it is made from.
    """
    outputs = list(outputs)
    sources = {_same(path): path for _, path in outputs}
    owners: dict[str, Path] = {}
    for output, path in outputs:
        key = _same(output)
        if key in sources:
            raise UsageError(
                f"a stem of {path} would replace {sources[key]}; choose another --out or template"
            )
        if key in owners:
            raise UsageError(_collision(output, owners[key], path))
        owners[key] = path


def _same(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()


def _collision(output: Path, first: Path, second: Path) -> str:
    if first == second:
        return f"two stems of {first} would both be {output}; put {{stem}} in the template"
    return (
        f"{first} and {second} would both write {output}; rename one, or separate them into different folders"
    )
