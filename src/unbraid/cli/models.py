"""`unbraid models`: what there is to separate with, and what of it is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console, presets
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pace import size
from unbraid.errors import PartialFailure, UnbraidError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbraid.zoo.chains import ChainCard
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile
    from unbraid.zoo.ensembles import EnsembleCard

_NEEDS_NONE = "{} needs no weights"
HEADINGS = ("model", "sources", "parameters", "size", "licence", "score", "on disk")


@click.group(
    context_settings=SETTINGS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    epilog="""\b
Examples:
  unbraid models
  unbraid models --all
  unbraid models show htdemucs
  unbraid models show model.ckpt --config model.yaml
  unbraid models pull htdemucs
""",
)
@flag("--all", "everything", help="Models that are parts of ensembles, too.")
@flag("--json", "as_json", help="One JSON object per model or ensemble on stdout; parts, too.")
@click.pass_context
def models(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """List the models, fetch them, check them.

    Without a command: a table of all models, of ensembles, which are several models heard together, and of
    presets, in which one hears what another made. Sizes and scores are those of their cards; 'test data seen'
    names what a model may know already, which would flatter its scores there.
    """
    if ctx.invoked_subcommand is not None:
        return
    if as_json:
        _out_json()
    else:
        show_table(everything=everything)


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", show_default="none",
    help="What describes a checkpoint that does not do so itself.",
)  # fmt: skip
def show(names: tuple[str, ...], config: Path | None) -> None:
    """Show all that is known of a model, an ensemble or a preset.

    NAME may be a checkpoint's path: then, what its file says, how it is run, and what was assumed.
    """
    from unbraid.zoo.chains import chain_for
    from unbraid.zoo.load import card_for

    if config is not None and len(names) > 1:
        raise UsageError(
            f"--config describes one checkpoint, and {len(names)} were named; show one at a time"
        )
    for name in names:
        chain, ensemble = chain_for(name), _ensemble(name)
        if (chain or ensemble) and config is not None:
            raise UsageError(f"{name} is no checkpoint; --config describes the file of one")
        if chain:
            presets.show(chain)
        elif ensemble:
            _show_ensemble(ensemble)
        elif (known := card_for(name)) is not None and config is None:
            _show_card(known)
        else:
            _show_checkpoint(name, config)


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@flag("--offline", help="Never reach for the internet; take files given to you.")
@click.option(
    "--weights-folder", "--repo", "weights_folder", type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER", show_default="none", help="Look for weights here first.",
)  # fmt: skip
@flag("-q", "--quiet", help="Show nothing but errors.")
def pull(names: tuple[str, ...], offline: bool, weights_folder: Path | None, quiet: bool) -> None:
    """Fetch models, so that they separate without the internet.

    What only you can fetch is told: from where, and where to put it.
    """
    from unbraid.cli.interrupt import interruptible
    from unbraid.zoo.download import fetch

    wanted = _cards(names)
    with interruptible() as cancel, console.display(quiet=quiet) as display:
        for known in wanted:
            if not known.has_weights:
                if not quiet:
                    console.say(_NEEDS_NONE.format(known.name))
                continue
            path = fetch(known, folder=weights_folder, offline=offline, listener=display, cancel=cancel)
            if not quiet:
                console.say(f"{known.name} is in {path}")


@models.command(context_settings=SETTINGS)
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Check that weights on disk are those of their cards.

    All that are there, or those named: every value is read and compared with the card's fingerprint, or
    with the one noted when the published file had been checked.
    """
    from unbraid.zoo import cache
    from unbraid.zoo.catalog import cards

    asked = _cards(names) or [known for known in cards() if known.has_weights and cache.is_on_disk(known)]
    for known in asked:
        if not known.has_weights:
            console.say(_NEEDS_NONE.format(known.name))
    wanted = [known for known in asked if known.has_weights]
    errors: list[UnbraidError] = []
    for known in wanted:
        try:
            path = cache.verify(known)
        except UnbraidError as error:
            errors.append(error)
            console.out(f"{known.name}: not sound")
            continue
        console.out(f"{known.name}: sound, {path}")
        console.say(f"{known.name}: {known.vouched_by}")
    if not asked:
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

    for known in _cards((name,)):
        if not known.has_weights:
            console.say(_NEEDS_NONE.format(known.name))
            continue
        console.out(str(cache.path_of(known)))
        if not cache.is_on_disk(known):
            console.say(f"{known.name} is not on disk yet; 'unbraid models pull {known.name}' fetches it")


def _ensemble(name: str) -> EnsembleCard | None:
    """The published ensemble of this name."""
    from unbraid.zoo.ensembles import ensemble_for

    return ensemble_for(name)


def _cards(names: Iterable[str]) -> list[Checkpoint]:
    """The cards of models, of the members of ensembles and of what presets need, each once."""
    from unbraid.zoo.catalog import card
    from unbraid.zoo.chains import chain_for

    found: dict[str, Checkpoint] = {}
    for name in names:
        chain, ensemble = chain_for(name), _ensemble(name)
        members = [member.model for member in ensemble.members] if ensemble else [name]
        for model in chain.models() if chain else members:
            found.setdefault(card(model).name, card(model))
    return list(found.values())


def _ensembles() -> list[EnsembleCard]:
    """All published ensembles."""
    from unbraid.zoo.ensembles import list_ensembles

    return [known for name in list_ensembles() if (known := _ensemble(name))]


def _out_json() -> None:
    """A line for each card, then one for each ensemble."""
    from unbraid.zoo import cache
    from unbraid.zoo.catalog import cards

    for card in cards():
        path = str(cache.path_of(card)) if card.has_weights else None
        where = {"on_disk": cache.is_on_disk(card), "path": path}
        console.out_json({**asdict(card), **where})
    for ensemble in _ensembles():
        there = all(cache.is_on_disk(card) for card in _cards((ensemble.name,)))
        console.out_json({**asdict(ensemble), "sources": ensemble.sources, "on_disk": there})


def show_table(*, everything: bool = False) -> None:
    """A row a model; below, what the letters of the scores mean and what the models learnt from.

    Args:
        everything: Parts of ensembles, too.
    """
    from unbraid.zoo.catalog import card, families
    from unbraid.zoo.chains import list_presets, preset

    metrics: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    shown: list[Checkpoint] = []
    for title, names in families().items():
        family = [known for known in map(card, names) if everything or not known.member]
        shown += family
        rows += _titled(title, [_row(known, metrics) for known in family])
    rows += _titled("Ensembles", [_ensemble_row(known) for known in _ensembles()])
    rows += _titled("Presets", [_preset_row(preset(name)) for name in list_presets()])
    console.out_table(HEADINGS, rows, numbers=("parameters", "size"))
    for metric, letter in metrics.items():
        console.out(f"({letter}) {metric}")
    learnt: dict[str, list[str]] = {}
    for known in shown:
        if known.has_weights:
            what = f"trained on {known.training_data}; test data seen: {known.contamination}"
            learnt.setdefault(what, []).append(known.name)
    for what, models in learnt.items():
        console.out(f"{', '.join(models)}: {what}")
    if not everything:
        console.say("'unbraid models --all' shows the parts of ensembles, too")


def _titled(title: str, rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """A family's rows, indented below its title; nothing where there are none."""
    if not rows:
        return []
    return [(f"{title}:", *[""] * (len(HEADINGS) - 1)), *((f"  {row[0]}", *row[1:]) for row in rows)]


def _row(card: Checkpoint, metrics: dict[str, str]) -> tuple[str, ...]:
    """A model in a table."""
    from unbraid.zoo import cache

    return (
        card.name,
        ", ".join(card.sources),
        _millions(card.parameters) if card.has_weights else "none",
        size(card.bytes) if card.has_weights else "none",
        card.licence,
        _first_score(card, metrics),
        "needs no weights" if not card.has_weights else "yes" if cache.is_on_disk(card) else "no",
    )


def _ensemble_row(ensemble: EnsembleCard) -> tuple[str, ...]:
    """An ensemble in a table."""
    cards = _cards((ensemble.name,))
    return _row_of_several(ensemble.name, ensemble.sources, cards, f"{len(cards)} models together")


def _preset_row(chain: ChainCard) -> tuple[str, ...]:
    """A preset in a table."""
    steps = len(chain.needed(chain.sources))
    return _row_of_several(chain.name, chain.sources, presets.cards_of(chain), f"{steps} steps")


def _row_of_several(
    name: str, sources: tuple[str, ...], cards: list[Checkpoint], what: str
) -> tuple[str, ...]:
    """Several models under one name."""
    return (
        name,
        ", ".join(sources),
        _millions(sum(card.parameters for card in cards)),
        size(sum(card.bytes for card in cards)),
        presets.licences(cards),
        what,
        presets.on_disk(cards),
    )


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
        "hears up to": edge,
        "licence": f"{card.licence}. {card.licence_note}",
        "paper": card.citation,
        "also called": ", ".join(card.aliases) or "nothing else",
    }
    if card.has_weights:
        lines |= {
            "size": f"{_millions(card.parameters)} parameters, {size(card.bytes)}",
            "trained on": card.training_data,
            "test data seen": card.contamination,
            "weights of": card.weights_of or "its own",
            "comes from": "; ".join(dict.fromkeys(map(_place, card.files))),
            "right weights": card.vouched_by,
            "on disk": str(cache.path_of(card)) if cache.is_on_disk(card) else "no",
        }
    else:
        lines["weights"] = "needs none"
    console.out(f"{card.name}: {card.description}")
    for name, value in lines.items():
        console.out(f"  {name:<16}{value}")
    for score in card.scores:
        console.out(
            f"  {'score':<16}{_values(score.values)}: {score.metric}; {score.dataset}; {score.origin}"
        )


def _show_checkpoint(path: str, config: Path | None) -> None:
    """A file of the user's own as lines for people; its card's, if one knows it."""
    from unbraid.networks.base import parameter_count
    from unbraid.zoo.load import network, resolve

    found = resolve(path, config=config)
    if found.card is not None:
        _show_card(found.card)
        return
    built = network(found)
    spec: Any = built.spec
    lines = [
        ("architecture", found.architecture),
        ("sources", ", ".join(spec.sources)),
        ("hears", f"{spec.sample_rate:,} Hz, {spec.segment / spec.sample_rate:.2f} s at once"),
        ("size", f"{_millions(parameter_count(built))} parameters"),
        *(("run as", sentence) for sentence in found.said),
        ("weights", found.fingerprint),
        ("on disk", str(found.path)),
    ]
    console.out(f"{found.name}: a checkpoint of your own")
    for name, value in lines:
        console.out(f"  {name:<16}{value}")


def _place(file: WeightFile) -> str:
    """Where a file is, and what of the network it holds if that is not all."""
    return f"{file.label} ({file.part})" if file.part else file.label


def _show_ensemble(ensemble: EnsembleCard) -> None:
    """An ensemble as lines for people."""
    console.out(f"{ensemble.name}: {ensemble.description}")
    console.out(f"  {'sources':<16}{', '.join(ensemble.sources)}")
    for member in ensemble.members:
        counts = ", ".join(f"{source} {weight:g}" for source, weight in member.counts.items())
        console.out(f"  {'model':<16}{member.model}, counts for {counts}")
    console.out(f"  {'together':<16}{ensemble.rule} of each {ensemble.domain}")
    console.out(f"  {'paper':<16}{ensemble.citation}")


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{source} {value:.2f}" for source, value in values.items())


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
