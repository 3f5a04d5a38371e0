"""`unbraid doctor`: what this machine can do, and what to install for the rest."""

from __future__ import annotations

from pathlib import Path

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.errors import MachineError


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid doctor
  unbraid doctor --json > report.json      to go with a question
""",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default="separated", metavar="FOLDER",
    help="Folder for stems whose disk is looked at.",
)  # fmt: skip
@flag("--json", "as_json", help="One JSON object on stdout.")
def doctor(out: Path, as_json: bool) -> None:
    """Show what this machine can do, and what to install for the rest.

    Nothing is changed, and the internet is not tried. The exit code is 5 if something needed is broken.
    """
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
