"""`unbraid models`: what there is to separate with, and what of it is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pace import size
from unbraid.errors import PartialFailure, UnbraidError

if TYPE_CHECKING:
    from unbraid.zoo.checkpoint import Checkpoint

HEADINGS = ("model", "sources", "parameters", "size", "licence", "score", "on disk")


@click.group(
    context_settings=SETTINGS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    epilog="""\b
Examples:
  unbraid models
  unbraid models show htdemucs
  unbraid models pull htdemucs
""",
)
@flag("--json", "as_json", help="One JSON object per model on stdout.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models, fetch them, check them.

    Without a command: a table of all models. Sizes and scores are those of their cards; 'test data seen'
    names what a model may know already, which would flatter its scores there.
    """
    if ctx.invoked_subcommand is not None:
        return
    from unbraid.zoo.catalog import cards

    if as_json:
        for card in cards():
            console.out_json(_facts(card))
    else:
        show_table(cards())


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def show(names: tuple[str, ...]) -> None:
    """Show all that is known of a model."""
    from unbraid.zoo.catalog import card

    for name in names:
        _show_card(card(name))


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@flag("--offline", help="Never reach for the internet; take files given to you.")
@click.option(
    "--weights-folder", "--repo", "weights_folder", type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER", show_default="none", help="Look for weights here first.",
)  # fmt: skip
@flag("-q", "--quiet", help="Show nothing but errors.")
def pull(names: tuple[str, ...], offline: bool, weights_folder: Path | None, quiet: bool) -> None:
    """Fetch models, so that they separate without the internet."""
    from unbraid.cli.interrupt import interruptible
    from unbraid.zoo.catalog import card
    from unbraid.zoo.download import fetch

    wanted = [card(name) for name in names]
    with interruptible() as cancel, console.display(quiet=quiet) as display:
        for known in wanted:
            path = fetch(known, folder=weights_folder, offline=offline, listener=display, cancel=cancel)
            if not quiet:
                console.say(f"{known.name} is in {path}")


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Check that weights on disk are those of their cards.

    All that are there, or those named: every value is read and compared.
    """
    from unbraid.zoo import cache
    from unbraid.zoo.catalog import card, cards

    wanted = [card(name) for name in names] or [known for known in cards() if cache.is_on_disk(known)]
    errors: list[UnbraidError] = []
    for known in wanted:
        try:
            path = cache.verify(known)
        except UnbraidError as error:
            errors.append(error)
            console.out(f"{known.name}: not sound")
            continue
        console.out(f"{known.name}: sound, {path}")
    if not wanted:
        console.say("no model is on disk; 'unbraid models pull htdemucs' fetches one")
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise PartialFailure(f"{len(errors)} of {len(wanted)} models are not sound: {errors[0]}")


@models.command(context_settings=SETTINGS)
@flag("--dry-run", help="Only say what would be removed.")
def prune(dry_run: bool) -> None:
    """Remove interrupted downloads, and weights that no card knows."""
    from unbraid.zoo import cache

    removed = cache.prune(dry_run=dry_run)
    for path in removed.paths:
        console.out(str(path))
    console.say(f"{size(removed.bytes)} {'would be freed' if dry_run else 'freed'}")


@models.command(context_settings=SETTINGS)
@click.argument("name", metavar="NAME")
def path(name: str) -> None:
    """Print where a model's weights are, or will be."""
    from unbraid.zoo import cache
    from unbraid.zoo.catalog import card

    known = card(name)
    console.out(str(cache.path_of(known)))
    if not cache.is_on_disk(known):
        console.say(f"{known.name} is not on disk yet; 'unbraid models pull {known.name}' fetches it")


def _facts(card: Checkpoint) -> dict[str, Any]:
    """A card and where its weights are, as plain values."""
    from unbraid.zoo import cache

    return {**asdict(card), "on_disk": cache.is_on_disk(card), "path": str(cache.path_of(card))}


def show_table(cards: tuple[Checkpoint, ...]) -> None:
    """One row a model; below it, what the letters of the scores mean and what each model learnt from."""
    from unbraid.zoo import cache

    metrics: dict[str, str] = {}
    rows = [
        (
            card.name,
            ", ".join(card.sources),
            _millions(card.parameters),
            size(card.bytes),
            card.licence,
            _first_score(card, metrics),
            "yes" if cache.is_on_disk(card) else "no",
        )
        for card in cards
    ]
    console.out_table(HEADINGS, rows, numbers=("parameters", "size"))
    for metric, letter in metrics.items():
        console.out(f"({letter}) {metric}")
    for card in cards:
        console.out(f"{card.name}: trained on {card.training_data}; test data seen: {card.contamination}")


def _first_score(card: Checkpoint, metrics: dict[str, str]) -> str:
    """A model's first published score; its way of measuring gets a letter in `metrics`."""
    if not card.scores:
        return "none published"
    score = card.scores[0]
    letter = metrics.setdefault(f"{score.metric}; {score.dataset}", chr(ord("a") + len(metrics)))
    return f"{_values(score.values)} ({letter})"


def _show_card(card: Checkpoint) -> None:
    """A card as lines for people."""
    from unbraid.zoo import cache

    edge = (
        f"{card.band_edge_hz:,.0f} Hz"
        if card.band_edge_hz
        else f"{card.sample_rate / 2:,.0f} Hz, all there is"
    )
    lines = {
        "sources": ", ".join(card.sources),
        "size": f"{_millions(card.parameters)} parameters, {size(card.bytes)}",
        "hears up to": edge,
        "licence": f"{card.licence}. {card.licence_note}",
        "trained on": card.training_data,
        "test data seen": card.contamination,
        "paper": card.citation,
        "on disk": str(cache.path_of(card)) if cache.is_on_disk(card) else "no",
    }
    console.out(f"{card.name}: {card.description}")
    for name, value in lines.items():
        console.out(f"  {name:<16}{value}")
    for score in card.scores:
        console.out(
            f"  {'score':<16}{_values(score.values)}: {score.metric}; {score.dataset}; {score.origin}"
        )


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{source} {value:.2f}" for source, value in values.items())


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
