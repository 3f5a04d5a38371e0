"""`unbraid presets`: chains of models that are ready to use, and what each of them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.cli.options import SETTINGS, flag
from unbraid.cli.pace import size

if TYPE_CHECKING:
    from unbraid.zoo.chains import ChainCard
    from unbraid.zoo.checkpoint import Checkpoint

HEADINGS = ("preset", "stems", "models", "size", "licence", "on disk")


@click.command(
    context_settings=SETTINGS,
    epilog="""\b
Examples:
  unbraid presets
  unbraid presets karaoke
  unbraid --preset karaoke song.mp3
""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@flag("--json", "as_json", help="One JSON object per preset on stdout.")
def presets(names: tuple[str, ...], as_json: bool) -> None:
    """List the presets, and what each of them needs.

    A preset separates in several steps: a model hears the song, the next one what the first one made of it.
    With names: their steps, one by one.
    """
    from unbraid.zoo.chains import list_presets, preset

    found = [preset(name) for name in names or list_presets()]
    if as_json:
        for chain in found:
            console.out_json(facts(chain))
    elif names:
        for chain in found:
            show(chain)
    else:
        console.out_table(HEADINGS, [_row(chain) for chain in found], numbers=("size",))
        for chain in found:
            console.out(f"{chain.name}: {chain.about.description}{_further(chain)}")


def cards_of(chain: ChainCard) -> list[Checkpoint]:
    """The cards of the models that a chain needs."""
    from unbraid.zoo.catalog import card

    return [card(model) for model in chain.models()]


def licences(cards: list[Checkpoint]) -> str:
    """Each licence once."""
    return ", ".join(dict.fromkeys(card.licence for card in cards))


def on_disk(cards: list[Checkpoint]) -> str:
    """How many of several models are there."""
    from unbraid.zoo import cache

    there = sum(cache.is_on_disk(card) for card in cards)
    return "no" if not there else "yes" if there == len(cards) else f"{there} of {len(cards)}"


def facts(chain: ChainCard) -> dict[str, Any]:
    """All that is known of a chain and of what it needs, as plain values."""
    from unbraid.zoo import cache
    from unbraid.zoo.steps import unspelt

    cards = cards_of(chain)
    return {
        "name": chain.name,
        "description": chain.about.description,
        "sources": chain.sources,
        "between": chain.between,
        "level": chain.about.level,
        "steps": [unspelt(step) for step in chain.needed(chain.signals)],
        "models": [card.name for card in cards],
        "bytes": sum(card.bytes for card in cards),
        "licences": {card.name: card.licence for card in cards},
        "on_disk": all(cache.is_on_disk(card) for card in cards),
    }


def show(chain: ChainCard) -> None:
    """A chain as lines for people."""
    cards = cards_of(chain)
    console.out(f"{chain.name}: {chain.about.description}")
    console.out(f"  {'stems':<16}{', '.join(chain.sources)}")
    if chain.between:
        console.out(f"  {'if asked for':<16}{', '.join(chain.between)}")
    for number, step in enumerate(chain.needed(chain.signals), 1):
        console.out(f"  {f'step {number}':<16}{step.sentence}")
    for card in cards:
        console.out(f"  {'model':<16}{card.name}, {size(card.bytes)}, licence: {card.licence}")
    console.out(f"  {'on disk':<16}{on_disk(cards)}")


def _row(chain: ChainCard) -> tuple[str, ...]:
    """A preset in a table."""
    cards = cards_of(chain)
    return (
        chain.name,
        ", ".join(chain.sources),
        ", ".join(card.name for card in cards),
        size(sum(card.bytes for card in cards)),
        licences(cards),
        on_disk(cards),
    )


def _further(chain: ChainCard) -> str:
    """What else can be asked for, as the end of a line."""
    return f" With --stems, too: {', '.join(chain.between)}." if chain.between else ""
