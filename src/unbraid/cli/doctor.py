"""`unbraid doctor`: what this machine can do, or what is wrong with a data set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.errors import AudioError, MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbraid.data.check import Finding
    from unbraid.data.track import Track


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid doctor
  unbraid doctor --json > report.json      to go with a question
  unbraid doctor --data musdb18hq          what is wrong with a data set
""",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default="separated", metavar="FOLDER",
    help="Folder for stems whose disk is looked at.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", show_default="off",
    help="Look at the data set in this folder instead: songs with their true stems.",
)  # fmt: skip
@click.option(
    "--layout", metavar="NAME", show_default="what lies there",
    help="How the data set is laid out: musdb18, musdb18hq, dsd100, moisesdb, slakh2100, medleydb or stems.",
)  # fmt: skip
@flag("--json", "as_json", help="One JSON object on stdout.")
def doctor(out: Path, data: Path | None, layout: str | None, as_json: bool) -> None:
    """Show what this machine can do, or what a data set lacks.

    It says what to install for the rest, and what is wrong with each song.
    Nothing is changed, and the internet is not tried. The exit code is 5 if something needed is broken,
    and 3 if something in the data set is.
    """
    if data is not None:
        return _data_set(data, layout, as_json=as_json)
    if layout is not None:
        raise UsageError("--layout says how a data set is laid out; name its folder with --data")
    return _machine(out, as_json=as_json)


def _machine(out: Path, *, as_json: bool) -> None:
    from unbraid.cli.checkup import State, checkup

    checks = checkup(out)
    broken = [check for check in checks if check.state is State.BROKEN]
    if as_json:
        console.out_json({"ok": not broken, "checks": [check.to_json() for check in checks]})
    else:
        console.out_table(
            ("", "what", "found", "advice"),
            [(check.state.value, check.name, check.found, check.advice) for check in checks],
        )
    if broken:
        names = ", ".join(check.name for check in broken)
        raise MachineError(f"needed and broken: {names}; {broken[0].advice}")


def _data_set(folder: Path, layout: str | None, *, as_json: bool) -> None:
    from unbraid.cli.interrupt import interruptible
    from unbraid.data.check import check
    from unbraid.data.layouts import layout_of, tracks

    layout = layout or layout_of(folder)
    songs = tracks(folder, layout)
    with interruptible() as cancel, console.display() as display:
        findings = list(check(songs, listener=display, cancel=cancel))
    broken = sorted({finding.track for finding in findings if finding.is_broken})
    if as_json:
        told = {"ok": not broken, "layout": layout, "songs": len(songs), "sources": _sources(songs)}
        console.out_json({**told, "findings": [finding.to_json() for finding in findings]})
    else:
        _show(findings)
        sources = ", ".join(f"{source} ({count})" for source, count in _sources(songs).items())
        console.say(f"layout: {layout}, songs: {len(songs)}, sources: {sources}, findings: {len(findings)}")
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise AudioError(f"{len(broken)} of {len(songs)} songs are broken: {', '.join(broken[:3])}{more}")


def _sources(songs: Sequence[Track]) -> dict[str, int]:
    """How many songs have each source, the most common first."""
    return dict(Counter(source for song in songs for source in song.sources).most_common())


def _show(findings: Sequence[Finding]) -> None:
    """What was found, as a table; nothing where there is nothing."""
    if findings:
        console.out_table(
            ("", "song", "part", "found", "advice"),
            [
                ("broken" if one.is_broken else "note", one.track, one.part, one.found, one.advice)
                for one in findings
            ],
        )
