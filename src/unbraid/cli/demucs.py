"""The options of demucs that are none here: taken where they change nothing, else refused with what does it.

Those that mean the same here (`--mp3`, `--two-stems`, ...) stand among our own, in `separate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unbraid.cli import console
from unbraid.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click import Context, Parameter

    from unbraid.cli.options import F

_NO_SPLIT = (
    "--no-split gives demucs the whole song at once; here songs flow through in segments, at the same "
    "memory whatever their length, so leave it out"
)
_SIG = (
    "--sig names a training run of demucs; here a model has a name or is a file: --model htdemucs, or "
    "--model my/checkpoint.th"
)
_MP3_PRESET = (
    "--mp3-preset trades the quality of an mp3 for time; here --bitrate alone says how good and how large it "
    "gets"
)
_ONE_GAIN = "here all stems share one gain if one of them would clip, and --bits 32f writes them as they are"

# The value that is what happens here anyway, and why each of the others is refused.
_OTHER_METHOD = {
    "add": "",
    "none": "leaves the other stem out; here --stems names those that are written: --stems vocals",
    "minus": "takes the stem from the song; here --sum exact makes both stems add up to the song",
}
_CLIP_MODE = {
    "rescale": "",
    "clamp": f"cuts off what would clip; {_ONE_GAIN}",
    "none": f"lets stems clip; {_ONE_GAIN}",
}


def demucs_options(function: F) -> F:
    """Give a command these options; none shows in its help, and none reaches its function."""
    for option in (
        _hidden("--list-models", is_flag=True, is_eager=True, callback=_list_models),
        _hidden("-j", "--jobs", type=click.IntRange(min=0), callback=_jobs),
        _hidden("--other-method", type=click.Choice(tuple(_OTHER_METHOD)), callback=_one_of(_OTHER_METHOD)),
        _hidden("--clip-mode", type=click.Choice(tuple(_CLIP_MODE)), callback=_one_of(_CLIP_MODE)),
        _hidden("--no-split", is_flag=True, callback=_refusal(_NO_SPLIT)),
        _hidden("-s", "--sig", callback=_refusal(_SIG)),
        _hidden("--mp3-preset", callback=_refusal(_MP3_PRESET)),
    ):
        function = option(function)
    return function


def _hidden(
    *names: str,
    callback: Callable[[Context, Parameter, Any], None],
    type: click.ParamType[Any] | None = None,  # noqa: A002 - click's name
    is_flag: bool = False,
    is_eager: bool = False,
) -> Callable[[F], F]:
    return click.option(
        *names,
        callback=callback,
        type=type,
        is_flag=is_flag,
        is_eager=is_eager,
        expose_value=False,
        hidden=True,
    )


def _refusal(sentence: str) -> Callable[[Context, Parameter, Any], None]:
    """A callback that refuses the option wherever it is given."""

    def refuse(_ctx: Context, _param: Parameter, value: str | bool | None) -> None:
        if value not in (None, False):
            raise UsageError(sentence)

    return refuse


def _one_of(reasons: dict[str, str]) -> Callable[[Context, Parameter, Any], None]:
    """A callback that refuses the values which have a reason."""

    def check(_ctx: Context, param: Parameter, value: str | None) -> None:
        if value is not None and reasons[value]:
            raise UsageError(f"{param.opts[0]} {value} {reasons[value]}")

    return check


def _jobs(ctx: Context, _param: Parameter, value: int | None) -> None:
    """Songs go one after the other: what demucs does in jobs is done in threads."""
    if value is not None and not ctx.params["quiet"]:  # --quiet is eager: it is known by now
        console.say("--jobs changes nothing: each song is separated on all cores; --threads N takes fewer")


def _list_models(ctx: Context, _param: Parameter, value: bool) -> None:
    """Print what `unbraid models` prints, and end."""
    if value:
        from unbraid.cli.models import show_table

        show_table()
        ctx.exit()
