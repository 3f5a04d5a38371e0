"""`unbraid bench`: what each model costs on this machine, by each way of running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, GroupedCommand, flag, require_finite
from unbraid.errors import PartialFailure, UnbraidError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbraid.bench.cases import Case
    from unbraid.bench.run import Outcome


class Bench(GroupedCommand):
    """A command with its options under headings."""

    groups = {  # noqa: RUF012 - declared where it comes from
        "What is measured": ("models", "untrained"),
        "How": ("backends", "precisions", "threads", "device", "seconds"),
        "What is shown": ("out", "as_json", "quiet"),
    }


@click.command(
    cls=Bench,
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid bench                                every model whose weights are here
  unbraid bench -n htdemucs --threads 1 --threads 2
  unbraid bench -n umxl --untrained            the same size, without its weights
  unbraid bench --json > bench.json            to compare machines with
""",
)
@click.option(
    "-n", "--model", "models", multiple=True, metavar="NAME", show_default="all whose weights are here",
    help="Model, or path of a checkpoint. May be given again.",
)  # fmt: skip
@flag(
    "--untrained",
    help="Random weights for models whose own are not here; without -n, for one model of each network.",
)
@click.option(
    "--backend", "backends", multiple=True, metavar="NAME", show_default="those that begin within seconds",
    help="What runs the network. May be given again.",
)  # fmt: skip
@click.option(
    "--precision", "precisions", multiple=True, metavar="NAME", show_default="the quick ones",
    help="Of the network's numbers. May be given again.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), multiple=True, metavar="N", show_default="all cores",
    help="Processor threads. May be given again.",
)  # fmt: skip
@click.option("-d", "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=20.0, metavar="SECONDS",
    callback=require_finite,
    help="For each case, after its first segment; less where times stand still sooner.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", show_default="off",
    help="Keep everything as JSON; replaced if it is there.",
)  # fmt: skip
@flag("--json", "as_json", help="One JSON object on stdout instead of the table.")
@flag("-q", "--quiet", help="No progress and no notes.")
def bench(
    *,
    models: tuple[str, ...],
    untrained: bool,
    backends: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: tuple[int, ...],
    device: str,
    seconds: float,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure what models cost on this machine.

    Each network separates one segment of made-up music again and again, until its median time stands still,
    in a process of its own, by each backend and precision. Beside the time: how long the first use takes,
    peak memory, and how far the answer is from that of plain PyTorch in float32. Nothing is fetched, and no
    file is separated.
    """
    # Imported here so that help is instant: this brings torch.
    import torch

    from unbraid.bench.cases import cases, subjects

    if out is not None and not out.parent.is_dir():  # said before minutes of work
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}")
    measured = _measure(
        cases(
            subjects(models, untrained=untrained),
            chosen=backends,
            precisions=precisions,
            threads=threads or (torch.get_num_threads(),),
            device=device,
        ),
        seconds=seconds,
        quiet=quiet,
    )
    _show(measured, out, as_json=as_json, quiet=quiet)
    _require_success(measured)


def _measure(cases: Sequence[Case], *, seconds: float, quiet: bool) -> list[Outcome]:
    """All outcomes, with progress; Ctrl-C stops at once."""
    from unbraid.bench.run import run
    from unbraid.cli.interrupt import interruptible

    found: list[Outcome] = []
    with interruptible() as cancel, console.display(quiet=quiet) as display:
        display.batch(1, len(cases), 0.0, None, "case")
        for outcome in run(cases, most_seconds=seconds, listener=display, cancel=cancel):
            found.append(outcome)
            position = min(len(found) + 1, len(cases))
            display.batch(position, len(cases), len(found) / len(cases), None, "case")
    return found


def _show(measured: Sequence[Outcome], out: Path | None, *, as_json: bool, quiet: bool) -> None:
    """The table or the JSON, and what should be known of it."""
    from unbraid.bench.report import HEADINGS, NUMBERS, notes, rows, to_json

    if out is not None:
        out.write_text(json.dumps(to_json(measured), indent=2) + "\n", encoding="utf-8")
    if as_json:
        console.out_json(to_json(measured))
    elif rows(measured):
        console.out_table(HEADINGS, rows(measured), NUMBERS)
    for note in () if quiet else notes(measured):
        console.say(note)


def _require_success(measured: Sequence[Outcome]) -> None:
    """Say why cases failed; one alone ends with its own exit code."""
    failed = [
        (outcome.case, outcome.result) for outcome in measured if isinstance(outcome.result, UnbraidError)
    ]
    if not failed:
        return
    if len(measured) == 1:
        raise failed[0][1]
    for case, error in failed:
        console.fail(f"{case}: {error}")
    raise PartialFailure(f"{len(failed)} of {len(measured)} cases could not be measured")
