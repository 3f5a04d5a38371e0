"""`unbraid models`: what there is to separate with, and what of it is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console, presets
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pace import size
from unbraid.errors import PartialFailure, UnbraidError, UnknownModelError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbraid.zoo.best import Budget, Choice
    from unbraid.zoo.chains import ChainCard
    from unbraid.zoo.checkpoint import Checkpoint, WeightFile
    from unbraid.zoo.ensembles import EnsembleCard

_NEEDS_NONE = "{} needs no weights"
_BUDGETS = ("fast", "balanced", "best")
_NEXT = 3  # runners-up that are named
HEADINGS = ("model", "sources", "parameters", "size", "licence", "score", "on disk")


class _Models(click.Group):
    """Commands; what is no command is looked for among the models."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Put `find` before the first word that is no command."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["find", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Models,
    context_settings=SETTINGS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND | WORD...]",
    epilog="""\b
Examples:
  unbraid models
  unbraid models karaoke
  unbraid models --task dereverb
  unbraid models --best vocals --budget fast
  unbraid models show htdemucs
  unbraid models show model.ckpt --config model.yaml
  unbraid models pull htdemucs
""",
)
@flag("--all", "everything", help="Every model by family, parts of ensembles, too.")
@click.option(
    "--task", metavar="TASK", show_default="any",
    help="Only what is for this: karaoke, dereverb, denoise, drum-kit, speech and others.",
)  # fmt: skip
@click.option(
    "--best", "wanted", metavar="SOURCE", show_default="off",
    help="Name the best model for a source, and say why.",
)  # fmt: skip
@click.option(
    "--budget", type=click.Choice(_BUDGETS), default="balanced",
    help="What the best may cost: 4 times htdemucs, 16 times, or anything.",
)  # fmt: skip
@click.option(
    "--licence", metavar="A,B", show_default="any",
    help="Only weights under one of these; 'stated': any that has one.",
)  # fmt: skip
@flag("--json", "as_json", help="One JSON object per model or ensemble on stdout; parts, too.")
@click.pass_context
def models(
    ctx: click.Context,
    *,
    everything: bool,
    task: str | None,
    wanted: str | None,
    budget: Budget,
    licence: str | None,
    as_json: bool,
) -> None:
    """List the models, find one, fetch them, check them.

    Without a command: what most people want, by task, then ensembles, which are several models heard
    together, and presets, in which one hears what another made. With words: the models that they tell of.
    Sizes and scores are those of their cards; 'test data seen' names what a model may know already, which
    would flatter its scores there.
    """
    if ctx.invoked_subcommand is not None:
        return
    if wanted is not None:
        show_best(wanted, budget, licence, task, as_json=as_json)
    elif task is not None or (licence is not None and not everything):
        show_found(_of_task(task, parts=everything), licence, as_json=as_json)
    elif as_json:
        _out_json()
    else:
        show_table(everything=everything, licence=licence)


@models.command(context_settings=SETTINGS)
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@flag("--json", "as_json", help="One JSON object per model on stdout.")
def find(words: tuple[str, ...], as_json: bool) -> None:
    """Find models by task, name, author, source or description.

    The word 'find' may be left out: 'unbraid models karaoke'.
    """
    from unbraid.zoo.catalog import list_models
    from unbraid.zoo.tasks import TASKS, all_sources, search

    text = " ".join(words)
    found = search(text)
    if not found:
        known = [*(task.name for task in TASKS), *all_sources(), *list_models(), *models.commands]
        raise UnknownModelError(
            f"no model is for {text!r}, or called so{did_you_mean(text, known)}; 'unbraid models --all' "
            "lists them"
        )
    show_found(found, None, as_json=as_json)


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
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def forget(names: tuple[str, ...]) -> None:
    """Forget hashes that were learnt at the first download.

    Of a file whose publisher states no hash, the first that came is what later ones are held to.
    """
    from unbraid.zoo import pins

    for known in _cards(names):
        held = pins.forget(known)
        console.say(f"{known.name}: {'forgotten' if held else 'nothing was pinned'}")


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

    _out_json_of(cards())
    for ensemble in _ensembles():
        there = all(cache.is_on_disk(card) for card in _cards((ensemble.name,)))
        console.out_json({**asdict(ensemble), "sources": ensemble.sources, "on_disk": there})


def _out_json_of(cards: Sequence[Checkpoint]) -> None:
    """A line for each card."""
    from unbraid.zoo import cache
    from unbraid.zoo.tasks import tasks_of

    for card in cards:
        path = str(cache.path_of(card)) if card.has_weights else None
        where = {"on_disk": cache.is_on_disk(card), "path": path}
        console.out_json({**asdict(card), "tasks": [task.name for task in tasks_of(card)], **where})


def _of_task(name: str | None, *, parts: bool) -> Sequence[Checkpoint]:
    """Models that are for a task; all where none is named."""
    from unbraid.zoo.catalog import cards
    from unbraid.zoo.tasks import for_task, task

    if name is None:
        return [card for card in cards() if parts or not card.member]
    return for_task(task(name), parts=parts)


def show_found(cards: Sequence[Checkpoint], licence: str | None, *, as_json: bool) -> None:
    """Models that were asked for, with what each is in a sentence.

    Args:
        cards: The models.
        licence: Only those under one of these licences.
        as_json: A JSON object each, in the place of a table.

    Raises:
        UnknownModelError: If none has such a licence.
    """
    from unbraid.zoo.best import is_under

    found = [card for card in cards if is_under((card.licence,), licence)]
    if not found:
        told = ", ".join(dict.fromkeys(card.licence for card in cards))
        raise UnknownModelError(f"none of these is under {licence}; they are under {told}")
    if as_json:
        _out_json_of(found)
        return
    metrics: dict[str, str] = {}
    console.out_table(HEADINGS, [_row(card, metrics) for card in found], numbers=("parameters", "size"))
    _out_metrics(metrics)
    for card in found:
        console.out(f"{card.name}: {card.description}")


def show_best(source: str, budget: Budget, licence: str | None, task: str | None, *, as_json: bool) -> None:
    """The best model's name on stdout, and on stderr why it is that one.

    Args:
        source: What is wanted.
        budget: What it may cost.
        licence: Licences that it may be under.
        task: What it must be for.
        as_json: All of it as a JSON object.

    Raises:
        UnknownModelError: If there is none.
    """
    from unbraid.zoo.best import best
    from unbraid.zoo.tasks import task as task_called

    choice = best(source, budget=budget, licence=licence, task=task_called(task) if task else None)
    if as_json:
        console.out_json({**asdict(choice), "budget": budget})
        return
    console.out(choice.candidate.name)
    for name, value in _reasons(choice, budget).items():
        console.say(f"  {name:<16}{value}")


def _reasons(choice: Choice, budget: Budget) -> dict[str, str]:
    """Why a model was picked."""
    from unbraid.zoo.best import BUDGETS

    pick, most = choice.candidate, BUDGETS[budget]
    allowed = "anything" if most == float("inf") else f"at most {most:g}"
    reasons = {
        "score": "none is published; it is the first of the short list"
        if choice.score is None
        else f"{pick.source} {choice.value:.2f}: {choice.score.metric}; {choice.score.dataset}; "
        f"{choice.score.origin}",
        "cost": f"{pick.cost:.1f} times htdemucs, {_millions(pick.parameters)} parameters; "
        f"{budget} allows {allowed}",
        "licence": ", ".join(pick.licences),
        "test data seen": pick.contamination,
    }
    if choice.others:
        following = ", ".join(f"{other.name} {value:.2f}" for other, value in choice.others[:_NEXT])
        reasons["next"] = f"{following}; {1 + len(choice.others)} were compared"
    if choice.uncompared and choice.score is not None:
        count = len(choice.uncompared)
        reasons["not compared"] = f"{count} more, which nobody measured in this way"
    if choice.dearer:
        reasons["too dear"] = f"{choice.dearer} more; a larger --budget compares them, too"
    return reasons


def show_table(*, everything: bool = False, licence: str | None = None) -> None:
    """A row a model; below, what the letters of the scores mean and what the models learnt from.

    Args:
        everything: All models by family, parts of ensembles, too; otherwise what most people want, by task.
        licence: Only those under one of these licences.
    """
    from unbraid.zoo.best import is_under
    from unbraid.zoo.catalog import card, cards, families
    from unbraid.zoo.chains import list_presets, preset

    metrics: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    shown: list[Checkpoint] = []
    groups = (
        {title: [card(name) for name in names] for title, names in families().items()}
        if everything
        else _by_task()
    )
    for title, group in groups.items():
        found = [known for known in group if is_under((known.licence,), licence)]
        shown += found
        rows += _titled(title, [_row(known, metrics) for known in found])
    if licence is None:
        rows += _titled("Ensembles", [_ensemble_row(known) for known in _ensembles()])
        rows += _titled("Presets", [_preset_row(preset(name)) for name in list_presets()])
    console.out_table(HEADINGS, rows, numbers=("parameters", "size"))
    _out_metrics(metrics)
    learnt: dict[str, list[str]] = {}
    for known in shown:
        if known.has_weights:
            what = f"trained on {known.training_data}; test data seen: {known.contamination}"
            learnt.setdefault(what, []).append(known.name)
    for what, models in learnt.items():
        console.out(f"{', '.join(models)}: {what}")
    if not everything:
        console.say(
            f"{len(cards()) - len(shown)} more: 'unbraid models --all' shows every one, "
            "'unbraid models WORD' and 'unbraid models --task TASK' what you look for"
        )


def _by_task() -> dict[str, list[Checkpoint]]:
    """What most people want, by the title of the first task that it is for."""
    from unbraid.zoo.catalog import cards
    from unbraid.zoo.tasks import TASKS, tasks_of

    groups: dict[str, list[Checkpoint]] = {task.title: [] for task in TASKS}
    for card in cards():
        if card.common:
            groups[tasks_of(card)[0].title].append(card)
    return groups


def _out_metrics(metrics: dict[str, str]) -> None:
    """What the letters of scores mean."""
    for metric, letter in metrics.items():
        console.out(f"({letter}) {metric}")


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
    what = "1 step" if steps == 1 else f"{steps} steps"
    return _row_of_several(chain.name, chain.sources, presets.cards_of(chain), what)


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
    letter = metrics.setdefault(f"{score.metric}; {score.dataset}", _letter(len(metrics)))
    return f"{_values(score.values)} ({letter})"


def _letter(count: int) -> str:
    """The letter of so many before it: a to z, then aa.

    >>> _letter(1), _letter(27)
    ('b', 'ab')
    """
    first, last = divmod(count, 26)
    return (chr(ord("a") + first - 1) if first else "") + chr(ord("a") + last)


def _show_card(card: Checkpoint) -> None:
    """A card as lines for people."""
    from unbraid.zoo import cache, pins
    from unbraid.zoo.best import cost_of
    from unbraid.zoo.tasks import tasks_of

    edge = (
        f"{card.band_edge_hz:,.0f} Hz"
        if card.band_edge_hz
        else f"{card.sample_rate / 2:,.0f} Hz, all there is"
    )
    lines = {
        "sources": ", ".join([*card.sources, *([f"{card.rest} (what is left)"] if card.rest else [])]),
        "good for": ", ".join(task.title.lower() for task in tasks_of(card)),
        "hears up to": edge,
        "licence": f"{card.licence}. {card.licence_note}",
        "paper": card.citation,
        "also called": ", ".join(card.aliases) or "nothing else",
    }
    if card.has_weights:
        lines |= {
            "size": f"{_millions(card.parameters)} parameters, {size(card.bytes)}",
            "cost": "not counted" if (cost := cost_of(card.name)) is None else f"{cost:.1f} times htdemucs",
            "trained on": card.training_data,
            "test data seen": card.contamination,
            "run as": _run_as(card),
            "weights of": card.weights_of or "its own",
            "comes from": "; ".join(dict.fromkeys(map(_place, card.files))),
            "right weights": card.vouched_by,
            "on disk": str(cache.path_of(card)) if cache.is_on_disk(card) else "no",
        }
        if learnt := pins.pinned(card):
            lines["pinned SHA-256"] = ", ".join(learnt.values())
    else:
        lines["weights"] = "needs none"
    console.out(f"{card.name}: {card.description}")
    for name, value in lines.items():
        console.out(f"  {name:<16}{value}")
    for score in card.scores:
        console.out(
            f"  {'score':<16}{_values(score.values)}: {score.metric}; {score.dataset}; {score.origin}"
        )


def _run_as(card: Checkpoint) -> str:
    """How its segments are put together."""
    shape = {
        "triangle": "count most in their middle",
        "flat": "count alike throughout",
        "fade": "fade in and out along a tenth, as in its training program at batch size 1",
    }[card.window]
    passes = f"; {card.shifts} passes" if card.shifts > 1 else ""
    return f"segments overlap by {100 * card.overlap:.0f} % and {shape}{passes}"


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
