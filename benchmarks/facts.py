"""Tables of the docs that are drawn from the code itself: formats, exit codes, models, the help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from unbraid import errors
from unbraid.cli.main import unbraid
from unbraid.cli.pace import size
from unbraid.evaluation.published import DATA, METRICS, all_rows
from unbraid.evaluation.published import published as published_rows
from unbraid.io.formats import FORMATS
from unbraid.io.naming import SUFFIXES
from unbraid.zoo.best import BUDGETS, MEASURE, cost_of
from unbraid.zoo.catalog import card, cards, families
from unbraid.zoo.ensembles import ensemble_for, list_ensembles
from unbraid.zoo.tasks import TASKS, for_task, tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unbraid.io.formats import Kind
    from unbraid.zoo.checkpoint import Checkpoint
    from unbraid.zoo.ensembles import EnsembleCard

_HELP_WIDTH = 90  # columns, which every page has room for
_ERROR = re.compile(r"(\w+) +(\d+) +(.+)")  # a line of the tree that names its exit code


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    >>> print(table(("a", "b"), [("1", "2")]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [headings, *rows]
    text = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
    return "\n".join([text[0], f"|{'---|' * len(headings)}", *text[1:], ""])


# What README shows; `unbraid models` and the page of models show all.
CHOICE = (
    "htdemucs",
    "htdemucs_ft",
    "htdemucs_6s",
    "hdemucs_mmi",
    "mdx_extra",
    "demucs.v2_extra",
    "conv_tasnet.v2_extra",
    "wave_u_net.m6",
    "uvr_mdx.voc_ft",
    "umxl",
    "spleeter.2stems",
    "hpss",
)


def models() -> str:
    """The models that README names, from their cards."""
    found: list[Checkpoint | EnsembleCard] = [ensemble_for(name) or card(name) for name in CHOICE]
    headings = ("model", "sources", "parameters, size", "published SDR in dB", "licence")
    measured = [
        f"{known.scores[0].metric}; {known.scores[0].dataset}." if known.scores else "" for known in found
    ]
    kinds = list(dict.fromkeys(filter(None, measured)))
    rows = []
    for known, way in zip(found, measured, strict=True):
        *cells, score, licence, _ = _row(known)
        mark = f" <sup>{1 + kinds.index(way)}</sup>" if way else ""
        rows.append((*cells, f"{score}{mark}", licence))
    notes = " ".join(f"<sup>{number}</sup> {kind}" for number, kind in enumerate(kinds, 1))
    return f"{table(headings, rows)}\n{notes}\n"


def all_models() -> str:
    """Every model by family, then the ensembles."""
    headings = ("model", "sources", "parameters, size", "published SDR in dB", "licence", "trained on")
    parts = [
        f"### {title}\n\n{table(headings, [_row(card(name)) for name in names])}\n"
        for title, names in families().items()
    ]
    return "".join([*parts, f"### Ensembles\n\n{table(headings, [_row(known) for known in _ensembles()])}"])


def common_models() -> str:
    """What most people want: a table per task."""
    headings = ("model", "what it is", "size", "cost", "published SDR in dB", "licence")
    parts = []
    for task in TASKS:
        found = [known for known in for_task(task) if known.common and tasks_of(known)[0] is task]
        more = len(for_task(task)) - len(found)
        if found:
            further = f"\n{more} more: `unbraid models --task {task.name}`.\n" if more else ""
            rows = [_common_row(known) for known in found]
            parts.append(f"### {task.title}\n\n{table(headings, rows)}{further}\n")
    return "".join(parts)


def _common_row(known: Checkpoint) -> tuple[str, ...]:
    return (
        f"`{known.name}`",
        known.description,
        size(known.bytes) if known.has_weights else "none",
        f"{cost:.1f}" if (cost := cost_of(known.name)) is not None else "",
        _values(known.scores[0].values) if known.scores else "none published",
        known.licence,
    )


def budgets() -> str:
    """What `--budget` allows."""
    rows = [
        (f"`{name}`", "anything" if most == float("inf") else f"{most:g} times `{MEASURE}`")
        for name, most in BUDGETS.items()
    ]
    return table(("budget", "costs at most"), rows)


def tasks() -> str:
    """What `--task` takes."""
    rows = [
        (f"`{task.name}`", task.title, f"{len(for_task(task))}", ", ".join(sorted(task.words)))
        for task in TASKS
    ]
    return table(("task", "what for", "models", "other words for it"), rows)


def _ensembles() -> list[EnsembleCard]:
    return [known for name in list_ensembles() if (known := ensemble_for(name))]


def _row(known: Checkpoint | EnsembleCard) -> tuple[str, ...]:
    """A model or an ensemble; an ensemble's size is that of all its models."""
    parts = [card(member.model) for member in getattr(known, "members", ())] or [card(known.name)]
    count = sum(part.parameters for part in parts)
    weights = f"{count / 1e6:.1f} M, {size(sum(part.bytes for part in parts))}" if count else "none"
    return (
        f"`{known.name}`",
        ", ".join(known.sources),
        weights,
        _values(known.scores[0].values) if known.scores else "none published",
        _each(part.licence for part in parts),
        _each(part.training_data for part in parts),
    )


def _each(facts: Iterable[str]) -> str:
    """Facts of several models, each once."""
    return "; ".join(dict.fromkeys(facts))


def scores() -> str:
    """Every published score of every model."""
    every: list[Checkpoint | EnsembleCard] = [*cards(), *_ensembles()]
    rows = [
        (f"`{known.name}`", _values(score.values), score.metric, score.dataset, score.origin)
        for known in every
        for score in known.scores
    ]
    return table(("model", "dB", "metric", "measured on", "by"), rows)


def published() -> str:
    """What the field has published: a table per data set and metric, never two metrics in one."""
    tables = sorted(
        {(row.data, row.metric) for row in all_rows()},
        key=lambda pair: (list(DATA).index(pair[0]), list(METRICS).index(pair[1])),
    )
    return "\n".join(_published(data, metric) for data, metric in tables)


def _published(data: str, metric: str) -> str:
    rows = published_rows(metric=metric, data=data, contaminated=True)
    named = {stem for row in rows for stem in row.scores}
    stems = [stem for stem in DATA[data].stems if stem in named]
    cells = [
        (
            f"{row.model}{row.marks(data)}{f' (`{row.unbraid}`)' if row.unbraid else ''}",
            *(_decibels(row.scores.get(stem)) for stem in stems),
            _decibels(row.mean),
            row.extra_data,
            f"{row.source}. {row.remark}" if row.remark else row.source,
        )
        for row in rows
    ]
    known = METRICS[metric]
    title = f"## {DATA[data].title}: {known.title}\n\n{known.statistic.capitalize()}.\n\n"
    return title + table(("model", *stems, "mean", "extra data", "published in"), cells)


def _decibels(value: float | None) -> str:
    """As published, to the hundredth or finer."""
    if value is None:
        return ""
    return f"{value:.2f}" if round(value, 2) == value else str(value)


def formats() -> str:
    """What stems can be written as."""
    rows = [
        (f"`{name}`", _samples(kind), _rates(kind), f"{kind.channels:,}") for name, kind in FORMATS.items()
    ]
    return table(("format", "samples", "sample rates", "channels at most"), rows)


def suffixes() -> str:
    """What a folder is searched for."""
    return f"{', '.join(f'`{suffix}`' for suffix in sorted(SUFFIXES))}\n"


def exit_codes() -> str:
    """Code, error and meaning, from the tree at the top of `unbraid.errors`."""
    found = _ERROR.findall(errors.__doc__ or "")
    rows = [(code, f"`{name}`", meaning.split(", unless")[0]) for name, code, meaning in found]
    rows.insert(0, ("0", "–", "done"))
    return table(("exit code", "error", "means"), rows)


def tree_of_errors() -> str:
    """The tree as it stands in the code."""
    lines = [line[4:] for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    return "\n".join(["```text", *lines, "```", ""])


def command_line() -> str:
    """The help of every command, as the terminal shows it."""
    return "".join(f"## {path}\n\n```text\n{_help(command, path)}\n```\n\n" for path, command in commands())


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it."""
    yield from _below("unbraid", unbraid)


def _below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _below(f"{path} {name}", child)


def _help(command: click.Command, path: str) -> str:
    """The help at a fixed width, without the blanks that fill its lines."""
    settings = {**command.context_settings, "terminal_width": _HELP_WIDTH}
    text = command.get_help(click.Context(command, info_name=path, **settings))
    return "\n".join(line.rstrip() for line in text.splitlines())


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{source} {value:.2f}" for source, value in values.items())


def _samples(kind: Kind) -> str:
    if kind.bitrates is None:
        return f"{', '.join(kind.bits)} bits".replace("32f bits", "32-bit float")
    least, usual, greatest = kind.bitrates
    return f"lossy, {usual} kb/s ({least} to {greatest})"


def _rates(kind: Kind) -> str:
    if kind.sample_rates is None:
        return "any"
    if isinstance(kind.sample_rates, range):
        return f"up to {kind.sample_rates[-1]:,} Hz"
    return ", ".join(f"{rate:,}" for rate in kind.sample_rates) + " Hz"
